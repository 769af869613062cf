//! `portcullis import`: turns the configuration of another gateway into a document, and tells everything it could not carry.

mod losses;
mod routes_yaml;
mod serverless;

use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};

use super::{Exit, Failure, Outcome, emit, gateway, yaml};
use losses::Losses;

/// What `import` is asked to do.
#[derive(Args)]
#[command(group = ArgGroup::new("key").args(["jwks_uri", "secret_env"]))]
pub struct Options {
    /// A serverless gateway's JSON (`paths`, `servers`), or a routes.yaml (`public_paths`, `proxy_upstream`)
    #[arg(value_name = "FILE")]
    file: String,
    /// The `iss` of the tokens that protected routes take
    #[arg(long, value_name = "ISS", requires = "key")]
    issuer: Option<String>,
    /// An accepted `aud`; may be given several times
    #[arg(long = "audience", value_name = "AUD")]
    audiences: Vec<String>,
    /// The address of the issuer's key set
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// The variable that holds the issuer's shared secret
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// The address of an upstream that the file only names; may be given several times
    #[arg(long = "upstream", value_name = "NAME=URL", value_parser = gateway::assignment)]
    upstreams: Vec<(String, String)>,
}

/// What a dialect's reader found, in the words of this gateway.
#[derive(Default)]
struct Imported {
    issuer: Option<Value>,
    identity_headers: Option<Value>,
    cors: Option<Value>,
    upstreams: Map<String, Value>,
    public_paths: Vec<Value>,
    routes: Vec<Value>,
}

/// Reads the file, whichever of the dialects it is in, and writes the document.
pub fn run(options: &Options) -> Result<Outcome, Failure> {
    let text = gateway::read(&options.file)?;
    let root = yaml::read(&text).map_err(|problem| Failure::Problems(vec![(options.file.clone(), problem)]))?;
    let mut losses = Losses::default();
    let mut imported = if root.get("paths").is_some() {
        serverless::read(&root, &options.upstreams, &mut losses)
    } else if root.get("routes").is_some() || root.get("public_paths").is_some() {
        routes_yaml::read(&root, &mut losses)
    } else {
        let message = "neither a serverless gateway's JSON (it has `paths`) nor a routes.yaml (it has `routes`)";
        return Err(Failure::Message(format!("{}: {message}", options.file)));
    };
    for (name, url) in &options.upstreams {
        imported.upstreams.insert(name.clone(), json!({ "url": url }));
    }
    let issuer = asked_for(options)?.or(imported.issuer.clone());
    let needs_tokens = imported.routes.iter().any(|route| route.get("auth").is_none());
    let mut result = format!("# Imported from {} by `portcullis import`.\n", options.file);
    if needs_tokens && issuer.is_none() {
        result.push_str(NO_ISSUER);
        losses.add_everywhere("routes need a token and no issuer is known; `check` refuses the document until one is declared (--issuer, --audience and --jwks-uri or --secret-env)");
    }
    result.push_str(&emit::yaml(&document(imported, issuer)));
    let notes = losses.lines(&options.file);
    Ok(Outcome { result, notes, exit: Exit::Success })
}

fn document(imported: Imported, issuer: Option<Value>) -> Value {
    let mut document = json!({ "version": "1.0", "routes": imported.routes });
    let sections = [
        ("issuers", issuer.map(|issuer| json!([issuer]))),
        ("identity_headers", imported.identity_headers),
        ("cors", imported.cors),
        ("upstreams", (!imported.upstreams.is_empty()).then_some(Value::Object(imported.upstreams))),
        ("public_paths", (!imported.public_paths.is_empty()).then_some(Value::Array(imported.public_paths))),
    ];
    if let Some(members) = document.as_object_mut() {
        members.extend(sections.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))));
    }
    document
}

/// The issuer of the command line, which knows better than the file.
fn asked_for(options: &Options) -> Result<Option<Value>, Failure> {
    let Some(issuer) = &options.issuer else { return Ok(None) };
    if options.audiences.is_empty() {
        return Err(Failure::Message(
            "--issuer needs an --audience: a token for anyone is a token for nobody".to_string(),
        ));
    }
    let mut value = json!({ "name": ISSUER, "issuer": issuer, "audiences": options.audiences });
    let key = match (&options.jwks_uri, &options.secret_env) {
        (Some(uri), _) => ("jwks", json!({ "uri": uri, "cluster": format!("{ISSUER}-keys") })),
        (None, Some(name)) => ("secret", json!({ "env": name })),
        (None, None) => return Err(Failure::Message("--issuer needs --jwks-uri or --secret-env".to_string())),
    };
    if let Some(members) = value.as_object_mut() {
        members.insert(key.0.to_string(), key.1);
    }
    Ok(Some(value))
}

/// The name of the one issuer that the other gateways know.
const ISSUER: &str = "accounts";

const NO_ISSUER: &str = "#\n# PROBLEM: routes below need a token and no issuer is declared. Declare one under `issuers`;\n\
# until then `portcullis check` refuses this document, and so does the filter.\n";
