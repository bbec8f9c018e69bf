//! Owns reading where a container's log driver sends to: a target that collects logs is missed by
//! whoever logs to it. Pure.

/// The drivers' options that hold an address, and the port where it names none
/// (docs.docker.com/engine/logging/drivers).
const ADDRESSES: [(&str, Option<u16>); 5] = [
    ("syslog-address", Some(514)),
    ("gelf-address", Some(12201)),
    ("fluentd-address", Some(24224)),
    ("loki-url", None),
    ("splunk-url", None),
];

/// The port that a log driver with these options sends to; `None` where it keeps the log itself.
#[must_use]
pub fn port<'a>(
    driver: &str,
    options: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Option<u16> {
    for (option, address) in options {
        if let Some((_, usual)) = ADDRESSES.iter().find(|(key, _)| *key == option) {
            return port_of(address, *usual);
        }
    }
    // Fluentd's is the only driver with an address of its own accord.
    (driver == "fluentd").then_some(24224)
}

fn port_of(address: &str, usual: Option<u16>) -> Option<u16> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    if scheme.starts_with("unix") {
        return None;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    // An IPv6 address has colons of its own, in brackets.
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    let named = after_host.rsplit_once(':').map(|(_, port)| port);
    match (named, scheme) {
        (Some(port), _) => port.parse().ok(),
        (None, "http") => Some(80),
        (None, "https") => Some(443),
        (None, _) => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_each_drivers_address_is_read() {
        for (driver, key, address, expected) in [
            ("syslog", "syslog-address", "udp://127.0.0.1:1514", Some(1514)),
            ("syslog", "syslog-address", "tcp://logs", Some(514)),
            ("syslog", "syslog-address", "unixgram:///dev/log", None),
            ("gelf", "gelf-address", "udp://[::1]:12201", Some(12201)),
            ("gelf", "gelf-address", "udp://[::1]", Some(12201)),
            ("fluentd", "fluentd-address", "localhost:24225", Some(24225)),
            ("fluentd", "tag", "x", Some(24224)),
            ("loki", "loki-url", "https://user:word@loki:3100/loki/api/v1/push", Some(3100)),
            ("loki", "loki-url", "http://loki/loki/api/v1/push", Some(80)),
            ("json-file", "max-size", "10m", None),
            ("syslog", "syslog-address", "tcp://logs:many", None),
        ] {
            assert_eq!(port(driver, [(key, address)]), expected, "{driver} {address}");
        }
    }
}
