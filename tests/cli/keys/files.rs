//! How a document is replaced: with its rights, at the end of its link, and by one hand at a time.

use crate::{Bench, Ran};

#[test]
#[cfg(unix)]
fn a_file_keeps_its_rights_and_a_link_its_end() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
    let bench = Bench::of_keys("keys-rights");
    let real = bench.0.join("gateway.yaml");
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).unwrap();
    // Only a superuser can give a file away; it stays with its owner in any case.
    chown(&real, Some(4711), Some(4712)).ok();
    let owner = |file: std::fs::Metadata| (file.uid(), file.gid());
    let before = owner(std::fs::metadata(&real).unwrap());
    symlink("gateway.yaml", bench.0.join("current.yaml")).unwrap();
    let revoke = ["keys", "revoke", "current.yaml", "--key", "b-1", "--reason", "lost"];
    let ran = Ran::from(bench.command(&revoke).env("USER", "carol").output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(bench.0.join("current.yaml").is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(owner(std::fs::metadata(&real).unwrap()), before);
    assert!(bench.read("gateway.yaml").contains("revoked:"));
    assert_eq!(bench.deeds("current.audit.jsonl")[0]["by"], "carol", "who is logged in did it");
}

#[test]
fn many_hands_at_once_lose_nothing() {
    let bench = Bench::of_keys("keys-hands");
    let ids: Vec<String> = (0..8).map(|i| format!("client-{i}")).collect();
    let clients: String = ids.iter().map(|id| format!("  - {{ id: {id}, owner: o, purpose: p }}\n")).collect();
    bench.write("clients.yaml", &format!("version: '1.0'\nclients:\n{clients}"));
    let create = |id: &String| {
        let rest = ["--environment", "test", "--by", "b", "--reason", "r", "--expires", "9d"];
        bench
            .command(&[&["keys", "create", "clients.yaml", "--client", id], &rest[..]].concat())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = ids.iter().map(create).collect();
    for mut one in running {
        assert!(one.wait().unwrap().success());
    }
    let listed = bench.run(&["keys", "list", "clients.yaml"]);
    assert_eq!(listed.out.lines().count(), 9, "{}", listed.out);
    let report = bench.run(&["keys", "report", "clients.yaml", "--trail"]);
    assert!(report.code == 0 && report.out.contains("8 deeds, nothing amiss"), "{}", report.out);
}
