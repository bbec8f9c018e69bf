//! Owns naming the socket of a container runtime without Docker's API: by its path, and by what it
//! answers. Pure.

use std::path::Path;

/// What a runtime's socket is called, and whose it is.
const SOCKETS: [(&str, &str); 5] = [
    ("cri-dockerd", "cri-dockerd"),
    ("containerd", "containerd"),
    ("crio", "CRI-O"),
    ("cri-o", "CRI-O"),
    ("buildkitd", "BuildKit"),
];

/// What to name instead.
pub(super) const HINT: &str = "makeroom speaks Docker's API: name the socket of dockerd or of `podman system service` with --engine unix:///PATH, or --context NAME";

/// Whose socket this is by its path; `None` where that says nothing.
pub(super) fn owner(socket: &Path) -> Option<&'static str> {
    let name = socket.file_name()?.to_str()?;
    SOCKETS.iter().find(|(part, _)| name.starts_with(part)).map(|(_, owner)| *owner)
}

/// Whether this is the first frame of HTTP/2, which gRPC begins with unasked: SETTINGS, of stream 0
/// (RFC 9113, sections 3.4 and 6.5).
pub(super) fn is_grpc(answer: &[u8]) -> bool {
    answer.first() == Some(&0) && answer.get(3) == Some(&4) && answer.get(5..9) == Some(&[0; 4])
}

/// Says what answers there instead of an engine; `None` where nobody can tell.
pub(super) fn named(socket: &Path, is_grpc: bool) -> Option<String> {
    match (owner(socket), is_grpc) {
        (Some(owner), _) => Some(format!("it is {owner}'s socket, which has no Docker API")),
        (None, true) => {
            Some("it speaks gRPC, as containerd and CRI-O do, and not Docker's API".to_owned())
        }
        (None, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtimes_socket_is_known_by_its_name_or_by_its_first_frame() {
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0x40, 0];
        assert!(is_grpc(&settings));
        for no_grpc in [&b""[..], b"HTTP/1.1 200 OK\r\n", &settings[..8], &[0; 20]] {
            assert!(!is_grpc(no_grpc), "{no_grpc:?}");
        }
        for (path, grpc, expected) in [
            ("/run/containerd/containerd.sock", true, Some("containerd's socket")),
            ("/run/k3s/containerd/containerd.sock", false, Some("containerd's socket")),
            ("/var/run/crio/crio.sock", true, Some("CRI-O's socket")),
            ("/run/cri-dockerd.sock", true, Some("cri-dockerd's socket")),
            ("/srv/some.sock", true, Some("speaks gRPC")),
            ("/srv/containerd/docker.sock", false, None),
        ] {
            let named = named(Path::new(path), grpc);
            assert_eq!(named.is_some(), expected.is_some(), "{path}: {named:?}");
            assert!(named.unwrap_or_default().contains(expected.unwrap_or_default()), "{path}");
        }
    }
}
