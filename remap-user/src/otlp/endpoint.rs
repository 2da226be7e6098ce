//! Where spans are sent.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    str::FromStr,
};

use hyper::Uri;

use crate::exit::{Code, Error};

/// The port of OTLP over HTTP.
const PORT: u16 = 4318;
/// The path of traces.
const PATH: &str = "/v1/traces";

/// The URL of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    path: String,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "not a URL, as in http://127.0.0.1:4318/v1/traces".to_owned();
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(
                    "remap does not encrypt: send to an OpenTelemetry Collector on this host \
                            (http://127.0.0.1:4318), which forwards over https"
                        .to_owned(),
                );
            }
            _ => return Err(wrong()),
        }
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err("a URL with a user or a password is not supported".to_owned());
        }
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(wrong)?;
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => PATH,
            path => path,
        };
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(PORT),
            path: path.to_owned(),
        })
    }
}

/// A collector whose name is resolved.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its addresses, which are tried in order.
    pub addresses: Vec<SocketAddr>,
    /// The header of HTTP.
    pub host: String,
    /// What is asked for.
    pub path: String,
    named: bool,
}

impl Endpoint {
    /// Looks the name up: later there is no right to.
    ///
    /// # Errors
    /// If it has no address.
    pub fn resolve(&self) -> Result<Target, Error> {
        let bare = self.host.trim_matches(['[', ']']);
        let found: io::Result<Vec<_>> = (bare, self.port).to_socket_addrs().map(Iterator::collect);
        let addresses = match found {
            Ok(addresses) if !addresses.is_empty() => addresses,
            Ok(_) => return Err(self.unresolved("it has no address")),
            Err(error) => return Err(self.unresolved(&error.to_string())),
        };
        Ok(Target {
            addresses,
            host: format!("{}:{}", self.host, self.port),
            path: self.path.clone(),
            named: bare.parse::<IpAddr>().is_err(),
        })
    }

    fn unresolved(&self, why: &str) -> Error {
        let message = format!(
            "--otlp: looking up {} failed: {why}; give the IP address of the collector",
            self.host
        );
        Error::with_message(Code::Failed, message)
    }
}

impl Target {
    /// What a user should see about a name.
    pub fn sentence(&self) -> Option<String> {
        let addresses: Vec<_> = self.addresses.iter().map(SocketAddr::to_string).collect();
        self.named.then(|| {
            format!(
                "--otlp: {} is {}; it is not looked up again",
                self.host,
                addresses.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_the_port_and_the_path_of_otlp_by_default() {
        for (text, expected) in [
            ("http://127.0.0.1", ("127.0.0.1", 4318, "/v1/traces")),
            ("http://h:80/", ("h", 80, "/v1/traces")),
            ("http://[::1]:1/a?b", ("[::1]", 1, "/a?b")),
        ] {
            let Endpoint { host, port, path } = text.parse().unwrap();
            assert_eq!((host.as_str(), port, path.as_str()), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused() {
        for (text, word) in [
            ("https://h:4318", "Collector"),
            ("h:4318", "not a URL"),
            ("grpc://h:4317", "not a URL"),
            ("http://", "not a URL"),
            ("http://user:word@h", "password"),
            ("", "not a URL"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_is_a_name_of_itself() {
        let target = "http://[::1]:9"
            .parse::<Endpoint>()
            .unwrap()
            .resolve()
            .unwrap();
        assert_eq!(target.addresses, ["[::1]:9".parse().unwrap()]);
        assert_eq!((target.host.as_str(), target.sentence()), ("[::1]:9", None));
    }
}
