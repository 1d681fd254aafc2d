//! How many processes the system has killed because memory was short: those of the control group that this process is in
//! (cgroups(7)). The count is raised before such a process ends.

use std::io;

/// Where the kernel tells it, by the version of cgroups: before and after the group's path, and where the group is the
/// root of what this process sees of the tree.
const FILES: [(&str, &str); 2] = [
    ("/sys/fs/cgroup/memory", "/memory.oom_control"),
    ("/sys/fs/cgroup", "/memory.events"),
];

/// Since the group was made.
///
/// # Errors
/// There are no control groups, or this process is in the one at the top, of which nothing is told.
pub fn kills() -> io::Result<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup")?;
    let mut missing = None;
    for file in files(&groups) {
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                if let Some(kills) = count(&text) {
                    return Ok(kills);
                }
            }
            Err(error) => missing = missing.or(Some((file, error))),
        }
    }
    Err(match missing {
        Some((file, error)) => io::Error::new(error.kind(), format!("{file}: {error}")),
        None => io::Error::from(io::ErrorKind::NotFound),
    })
}

/// What may tell the count, by what /proc/self/cgroup says: first by the path of the group. A container may see the tree from
/// its own group on, and the path from the top.
fn files(groups: &str) -> Vec<String> {
    let path = |controller: &str| {
        let of_controller = |line: &&str| {
            line.split(':')
                .nth(1)
                .is_some_and(|its| its.split(',').any(|name| name == controller))
        };
        let line = groups.lines().find(of_controller)?;
        line.splitn(3, ':').nth(2)
    };
    let of_version = ["memory", ""].into_iter().zip(FILES);
    of_version
        .filter_map(|(controller, (root, file))| Some((path(controller)?, root, file)))
        .flat_map(|(path, root, file)| {
            let path = path.trim_end_matches('/');
            [format!("{root}{path}{file}"), format!("{root}{file}")]
        })
        .collect()
}

fn count(text: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_looked_for_by_its_path_and_at_the_top() {
        let both = "4:memory,cpu:/a/b:c\n1:name=systemd:/\n0::/\n";
        assert_eq!(
            files(both),
            [
                "/sys/fs/cgroup/memory/a/b:c/memory.oom_control",
                "/sys/fs/cgroup/memory/memory.oom_control",
                "/sys/fs/cgroup/memory.events",
                "/sys/fs/cgroup/memory.events",
            ]
        );
        assert_eq!(
            files("0::/x.slice/y.service\n"),
            [
                "/sys/fs/cgroup/x.slice/y.service/memory.events",
                "/sys/fs/cgroup/memory.events",
            ]
        );
        assert!(files("nonsense\n\n:\n3:pids:/a\n").is_empty());
    }

    #[test]
    fn the_count_is_one_line_of_several() {
        assert_eq!(
            count("low 0\noom 7\noom_kill 3\noom_group_kill 9\n"),
            Some(3)
        );
        assert_eq!(
            count("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n"),
            Some(12)
        );
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\n"), None);
        assert_eq!(count("oom_kill many\n"), None);
    }
}
