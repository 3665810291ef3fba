//! Keeps browsers out of every program's pages. A page that a clerk opens can reach 127.0.0.1, under its own name by DNS rebinding; so the Host
//! must be a loopback address, and a request that says it comes from a page is refused.

use std::net::IpAddr;

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

/// Lets only programs on this machine reach `routes`.
pub fn guarded(routes: Router) -> Router {
    routes.layer(middleware::from_fn(only_local_programs))
}

async fn only_local_programs(request: Request, next: Next) -> Response {
    match refusal(request.headers()) {
        None => next.run(request).await,
        Some(text) => (StatusCode::FORBIDDEN, text).into_response(),
    }
}

fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|value| value.to_str().ok());
    if hosts.next().is_some() || !host.is_some_and(is_loopback) {
        return Some("the Host of a request must be a loopback address\n");
    }
    let from_page = [header::ORIGIN.as_str(), "sec-fetch-site"];
    from_page.iter().any(|name| headers.contains_key(*name)).then_some("pages in a browser are not served\n")
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || is_port(port) => name,
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn guarded_pages_answer_a_program_and_no_page_of_a_browser() {
        let routes = guarded(Router::new().route("/healthz", axum::routing::get(|| async { "fine" })));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await });
        for (headers, status) in [
            ("Host: 127.0.0.1", "200"),
            ("Host: evil.example", "403"),
            ("Host: 127.0.0.1\r\nOrigin: http://evil.example", "403"),
        ] {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("GET /healthz HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
        }
    }

    fn check(headers: &[(&'static str, &'static str)], served: bool) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, axum::http::HeaderValue::from_static(value));
        }
        assert_eq!(refusal(&map).is_none(), served, "{headers:?}");
    }

    #[test]
    fn a_program_on_this_machine_is_served() {
        for host in ["127.0.0.1:7411", "127.0.0.1", "localhost:7411", "[::1]:7411", "[::1]"] {
            check(&[("host", host)], true);
        }
    }

    #[test]
    fn another_name_for_this_machine_is_refused() {
        for host in [
            "evil.example",
            "evil.example:7411",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "[::1].evil",
            "a@127.0.0.1",
            "",
        ] {
            check(&[("host", host)], false);
        }
        check(&[], false);
        check(&[("host", "127.0.0.1"), ("host", "evil.example")], false);
    }

    #[test]
    fn a_page_in_a_browser_is_refused_under_any_host() {
        check(&[("host", "127.0.0.1:7411"), ("origin", "http://127.0.0.1:7411")], false);
        check(&[("host", "127.0.0.1:7411"), ("sec-fetch-site", "cross-site")], false);
    }
}
