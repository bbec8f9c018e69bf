//! Owns how a target's cgroup is named to the host, so that no other is ever written to. Pure.

/// A target's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupOf {
    /// That of this process on the engine's kernel. It counts only where its path holds the
    /// target's whole id: behind a forwarded socket the pid is another process's.
    Process {
        /// The process.
        pid: i32,
        /// The target's id.
        id: String,
    },
    /// This path below the mount of the cgroups, which the target's kind vouches for.
    Path {
        /// It, with a leading slash.
        path: String,
        /// The target's id.
        id: String,
    },
}

impl CgroupOf {
    /// The target's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Process { id, .. } | Self::Path { id, .. } => id,
        }
    }

    /// The line that the host's scripts read it from; `None` where it could be read as something
    /// else, or would find the cgroup of another one.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        match self {
            Self::Process { pid, id } => {
                let is_whole = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
                (*pid > 0 && is_whole).then(|| format!("{pid} {id}"))
            }
            Self::Path { path, id } => {
                let is_word = |text: &str| {
                    !text.is_empty()
                        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
                };
                let is_below = path.starts_with('/')
                    && path.len() > 1
                    && path[1..].split('/').all(|part| !matches!(part, "" | "." | ".."));
                (is_word(id) && is_word(path) && is_below).then(|| format!("{path} {id}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_a_whole_id_only() {
        let line = |pid, id: &str| CgroupOf::Process { pid, id: id.to_owned() }.line();
        let whole = "ab".repeat(32);
        assert_eq!(line(7, &whole), Some(format!("7 {whole}")));
        for (pid, id) in [(0, &*whole), (-1, &whole), (7, &whole[1..]), (7, &"zz".repeat(32))] {
            assert_eq!(line(pid, id), None, "{pid} {id}");
        }
    }

    #[test]
    fn a_path_is_named_only_where_it_lies_below_the_mount_and_reads_as_one_word() {
        let line = |path: &str, id: &str| {
            CgroupOf::Path { path: path.to_owned(), id: id.to_owned() }.line()
        };
        assert_eq!(line("/a.slice/b", "u").as_deref(), Some("/a.slice/b u"));
        for (path, id) in [
            ("", "u"),
            ("/", "u"),
            ("a", "u"),
            ("/a/../b", "u"),
            ("/a//b", "u"),
            ("/a b", "u"),
            ("/a\nb", "u"),
            ("/a", ""),
            ("/a", "u v"),
        ] {
            assert_eq!(line(path, id), None, "{path:?} {id:?}");
        }
    }
}
