//! Implements Envoy's rate limit protocol, `envoy.service.ratelimit.v3`, with the library of the rate limit service Limitador.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus, RateLimit};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use envoy_types::pb::google::protobuf::Duration;
use limitador::counter::Counter;
use limitador::limit::{Context, Namespace};
use limitador::{AsyncRateLimiter, CheckResult};
use tonic::{Request, Response, Status};

use crate::faults::{Fault, Faults};

/// The rate limit service. The domain of a request is the Limitador namespace whose limits apply. The conditions of a limit can
/// read the entries of the request as `descriptors`.
pub struct Service {
    limiter: AsyncRateLimiter,
    faults: Arc<Faults>,
}

impl Service {
    /// Creates a service that counts with `limiter` and simulates `faults`.
    pub fn new(limiter: AsyncRateLimiter, faults: Arc<Faults>) -> Self {
        Self { limiter, faults }
    }

    async fn count(&self, request: &RateLimitRequest) -> Result<RateLimitResponse, Status> {
        let namespace: Namespace = request.domain.as_str().into();
        let entries = request.descriptors.iter().map(|descriptor| {
            let entries = descriptor.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone()));
            entries.collect::<HashMap<_, _>>()
        });
        let mut context = Context::default();
        context.list_binding("descriptors".into(), entries.collect());
        // In this protocol, 0 means one hit. Envoy's own filter sends 0.
        let hits = u64::from(request.hits_addend.max(1));
        let checked = self.limiter.check_rate_limited_and_update(&namespace, &context, hits).await;
        let mut checked = checked.map_err(|error| Status::unavailable(error.to_string()))?;
        let code = if checked.limited { Code::OverLimit } else { Code::Ok };
        println!("call {} {hits} {}", describe(request), code.as_str_name());
        Ok(RateLimitResponse {
            overall_code: code as i32,
            response_headers_to_add: headers(&mut checked),
            statuses: request.descriptors.iter().map(|_| status(code, checked.counters.first())).collect(),
            ..Default::default()
        })
    }
}

#[tonic::async_trait]
impl RateLimitService for Service {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let fault = self.faults.now();
        if let Fault::Error = fault {
            println!("call {} 0 ERROR", describe(request.get_ref()));
            return Err(Status::internal("the simulated fault fails this call"));
        }
        let mut response = self.count(request.get_ref()).await?;
        match fault {
            Fault::Garbage => response.overall_code = 99,
            Fault::Slow(by) => tokio::time::sleep(by).await,
            Fault::Error | Fault::None => {}
        }
        Ok(Response::new(response))
    }
}

/// Returns the `x-ratelimit-…` headers, as Limitador formats them. As a side effect, it sorts the counters so that the counter
/// nearest to its limit comes first.
fn headers(checked: &mut CheckResult) -> Vec<HeaderValue> {
    let headers = checked.response_header().into_iter();
    headers.map(|(key, value)| HeaderValue { key, value, ..Default::default() }).collect()
}

fn status(code: Code, counter: Option<&Counter>) -> DescriptorStatus {
    let Some(counter) = counter else { return DescriptorStatus { code: code as i32, ..Default::default() } };
    let unit = match counter.window().as_secs() {
        1 => Unit::Second,
        60 => Unit::Minute,
        3_600 => Unit::Hour,
        86_400 => Unit::Day,
        _ => Unit::Unknown,
    };
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    DescriptorStatus {
        code: code as i32,
        current_limit: Some(RateLimit {
            name: counter.limit().name().unwrap_or_default().to_owned(),
            requests_per_unit: number(counter.max_value()),
            unit: unit as i32,
        }),
        limit_remaining: number(counter.remaining().unwrap_or_default()),
        duration_until_reset: counter.expires_in().map(|left| Duration {
            seconds: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(left.subsec_nanos()).unwrap_or_default(),
        }),
        ..Default::default()
    }
}

/// Returns the domain and the entries of all descriptors as one string without spaces.
fn describe(request: &RateLimitRequest) -> String {
    let entries = request.descriptors.iter().flat_map(|descriptor| &descriptor.entries);
    let entries: Vec<String> = entries.map(|entry| format!("{}={}", entry.key, entry.value)).collect();
    format!("{}/{}", request.domain, entries.join(",").replace(' ', "_"))
}
