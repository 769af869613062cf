//! Tests how a document is replaced: with its file permissions, at the target of a symbolic link, and by one process at a time.

use crate::{Bench, CommandOutput};

#[test]
#[cfg(unix)]
fn an_edited_file_keeps_its_permissions_and_a_symlink_its_target() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
    let bench = Bench::of_keys("keys-rights");
    let real = bench.0.join("gateway.yaml");
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).unwrap();
    // Only a superuser can change the owner of a file. For other users, the owner stays the same.
    chown(&real, Some(4711), Some(4712)).ok();
    let owner = |file: std::fs::Metadata| (file.uid(), file.gid());
    let before = owner(std::fs::metadata(&real).unwrap());
    symlink("gateway.yaml", bench.0.join("current.yaml")).unwrap();
    let revoke = ["keys", "revoke", "current.yaml", "--key", "b-1", "--reason", "lost"];
    let ran = CommandOutput::from(bench.command(&revoke).env("USER", "carol").output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(bench.0.join("current.yaml").is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(owner(std::fs::metadata(&real).unwrap()), before);
    assert!(bench.read("gateway.yaml").contains("revoked:"));
    assert_eq!(bench.trail_entries("gateway.audit.jsonl")[0]["by"], "carol", "the author is the value of `USER`");
    assert!(!bench.0.join("current.audit.jsonl").exists(), "a link and its target have the same trail");
    let report = bench.run(&["keys", "report", "current.yaml", "--trail"]);
    assert!(report.out.contains("1 entries, no problems"), "{}", report.out);
}

#[test]
fn concurrent_edits_lose_nothing() {
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
    assert!(report.code == 0 && report.out.contains("8 entries, no problems"), "{}", report.out);
}

#[test]
#[cfg(unix)]
fn permission_commands_keep_file_permissions_and_symlinks() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let bench = Bench::new("permission-files");
    std::fs::remove_dir_all(bench.0.join("real")).ok();
    std::fs::create_dir_all(bench.0.join("real")).unwrap();
    let text = "version: '1.0'\npermissions:\n  LIC:\n    READ: { bit: 0, description: Read }\nroutes: []\n";
    bench.write("real/gateway.yaml", text);
    std::fs::remove_file(bench.0.join("gateway.yaml")).unwrap();
    symlink("real/gateway.yaml", bench.0.join("gateway.yaml")).unwrap();
    let mode = |name: &str| std::fs::metadata(bench.0.join(name)).unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(bench.0.join("real/gateway.yaml"), PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(bench.run(&["permission", "lock", "gateway.yaml"]).code, 0);
    // If there is no lock file beside the link, the command uses the lock file beside the target.
    std::fs::set_permissions(bench.0.join("real/permissions.lock"), PermissionsExt::from_mode(0o604)).unwrap();
    let ran = bench.run(&["permission", "add", "gateway.yaml", "LIC", "WRITE", "--description", "Write"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(bench.run(&["permission", "lock", "gateway.yaml"]).code, 0);
    assert!(bench.0.join("gateway.yaml").is_symlink() && !bench.0.join("permissions.lock").exists());
    assert_eq!((mode("real/gateway.yaml"), mode("real/permissions.lock")), (0o640, 0o604));
    assert!(bench.read("real/gateway.yaml").contains("WRITE") && bench.read("real/permissions.lock").contains("WRITE"));
    assert_eq!(std::fs::read_dir(bench.0.join("real")).unwrap().count(), 2, "a temporary file is left");
}

#[test]
#[cfg(unix)]
fn a_trail_next_to_a_link_is_not_continued_elsewhere() {
    let bench = Bench::of_keys("keys-old-trail");
    std::os::unix::fs::symlink("gateway.yaml", bench.0.join("current.yaml")).unwrap();
    bench.write("current.audit.jsonl", "");
    let revoke = ["keys", "revoke", "current.yaml", "--key", "b-1", "--by", "carol", "--reason", "lost"];
    let ran = bench.run(&revoke);
    assert!(
        ran.code == 1 && ran.err.contains("current.audit.jsonl is beside a symbolic link: move it to"),
        "{}",
        ran.err
    );
    assert!(!bench.read("gateway.yaml").contains("revoked:"));
    let named = bench.run(&[&revoke[..], &["--trail", "current.audit.jsonl"]].concat());
    assert_eq!(named.code, 0, "{}", named.err);
}

#[test]
#[cfg(unix)]
fn parallel_edits_of_one_file_are_all_in_the_file() {
    let bench = Bench::new("parallel-edits");
    std::fs::remove_dir_all(bench.0.join("a")).ok();
    std::fs::create_dir_all(bench.0.join("a")).unwrap();
    let spawn = |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        bench.command(&arguments).stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let client = |i| format!("  - {{ id: c{i}, owner: o, purpose: p }}\n");
    let text = format!("version: '1.0'\nclients:\n{}routes: []\n", (9..12).map(client).collect::<String>());
    for round in 0..3 {
        bench.write("a/gateway.yaml", &text);
        let words = |command: String| command.split(' ').map(str::to_string).collect::<Vec<_>>();
        let add = |i| words(format!("permission add a/gateway.yaml LIC P{i} --description d"));
        // Each command has its own trail, so the lock of a trail does not make the commands wait for each other.
        let create = |i| {
            words(format!(
                "keys create a/gateway.yaml --client c{i} --environment test --by b --reason r --expires 9d --trail {round}-{i}.jsonl"
            ))
        };
        let running: Vec<_> = (0..12).map(|i| spawn(if i < 9 { add(i) } else { create(i) })).collect();
        for mut one in running {
            assert!(one.wait().unwrap().success());
        }
        let edited = bench.read("a/gateway.yaml");
        let added = (0..9).filter(|i| edited.contains(&format!(" P{i}: "))).count();
        assert_eq!((added, edited.matches("prefix: pck_test_").count()), (9, 3), "{edited}");
        assert_eq!(std::fs::read_dir(bench.0.join("a")).unwrap().count(), 1, "nothing is left beside the file");
    }
}

#[test]
fn an_edited_file_keeps_its_byte_order_mark_and_its_line_breaks() {
    let bench = Bench::of_keys("keys-mark");
    let mark = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    bench.write("gateway.yaml", &mark(&bench.read("gateway.yaml")));
    let by = ["--by", "carol", "--reason", "r"];
    let expires = ["--expires", "9d"];
    for command in [
        [&["keys", "create", "gateway.yaml", "--client", "reports"][..], &by, &expires].concat(),
        [&["keys", "rotate", "gateway.yaml", "--client", "billing", "--key", "b-1"][..], &by, &expires].concat(),
        [&["keys", "revoke", "gateway.yaml", "--key", "b-1"][..], &by].concat(),
        vec!["permission", "add", "gateway.yaml", "LIC", "READ", "--description", "d"],
        vec!["permission", "add", "gateway.yaml", "LIC", "WRITE", "--description", "d"],
        vec!["permission", "add", "gateway.yaml", "ORD", "READ", "--description", "d"],
    ] {
        let before = bench.read("gateway.yaml");
        let ran = bench.run(&command);
        assert_eq!(ran.code, 0, "{command:?}: {}", ran.err);
        let after = bench.read("gateway.yaml");
        assert_ne!(before, after, "{command:?}");
        assert!(
            after.starts_with("\u{feff}version") && after.matches('\u{feff}').count() == 1,
            "{command:?}: {after:?}"
        );
        assert_eq!(after.matches('\n').count(), after.matches("\r\n").count(), "{command:?}: {after:?}");
    }
}
