//! The engine's own floor, for `scripts/bench`: a client that does nothing but list, inspect, pause
//! and unpause the containers of a name prefix, eight at once. Raw HTTP over threads, no library,
//! no journal, no second process: nothing can be faster by doing less.
//!
//! Usage: `floor SOCKET PREFIX`

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicUsize, Ordering},
};

const AT_ONCE: usize = 8;

fn main() {
    let mut args = std::env::args().skip(1);
    let (socket, prefix) = args.next().zip(args.next()).expect("usage: floor SOCKET PREFIX");
    let listed = call(&socket, "GET", "/containers/json?all=true");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("a list");
    let has_prefix = |container: &&serde_json::Value| {
        container["Names"][0].as_str().is_some_and(|name| name[1..].starts_with(&prefix))
    };
    let ids: Vec<String> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter(has_prefix)
        .map(|container| container["Id"].as_str().expect("an id").to_owned())
        .collect();
    for (method, act) in [("GET", "json"), ("POST", "pause"), ("POST", "unpause")] {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                        call(&socket, method, &format!("/containers/{id}/{act}"));
                    }
                });
            }
        });
    }
}

fn call(socket: &str, method: &str, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the engine");
    // HTTP/1.0: the answer ends where the connection does.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')), "{path}: {head}");
    body.to_owned()
}
