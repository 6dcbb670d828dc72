//! How the operator names an egress proxy.
//!
//! The URL may hold a password. It is wiped when it is dropped, and no error and no `Debug` text
//! shows it.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};
use webhooks_core::{Result, WebhookError};
use zeroize::Zeroizing;

use super::proxy::{Protocol, Proxy};
use super::tunnel::Login;

/// An egress proxy, by its URL: `http://` and `https://` tunnel with `CONNECT`, `socks5://` and
/// `socks5h://` with SOCKS5. User name and password are part of the URL, percent-encoded where they
/// hold other than letters and digits.
///
/// | | who resolves the names of endpoints |
/// |---|---|
/// | `http://user:password@host:port`, `https://..` | this process, and the addresses are judged here; with [`resolves_names`](Self::resolves_names) the proxy |
/// | `socks5://..` | this process, likewise |
/// | `socks5h://..` | the proxy |
///
/// What the proxy resolves, the network policy cannot judge: there only a name, its port and
/// addresses that stand in URLs are judged, and the proxy itself must refuse private addresses.
///
/// ```
/// use webhooks_delivery::ProxyConfig;
///
/// let proxy = ProxyConfig::new("http://egress:hunter2@proxy.internal:3128").resolves_names();
/// assert!(!format!("{proxy:?}").contains("hunter2"));
/// ```
#[derive(Clone)]
pub struct ProxyConfig {
    url: Zeroizing<String>,
    resolves_names: bool,
}

impl ProxyConfig {
    /// The proxy at this URL, which is read when what uses it is built.
    ///
    /// Without a port it is 80, 443 or, for SOCKS, 1080. A malformed URL is an error of
    /// [`DeliveryEngineBuilder::proxy`](crate::DeliveryEngineBuilder::proxy).
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Zeroizing::new(url.into()),
            resolves_names: false,
        }
    }

    /// Asks the proxy for names, not for addresses that were resolved and judged here.
    #[must_use]
    pub fn resolves_names(mut self) -> Self {
        self.resolves_names = true;
        self
    }

    pub(crate) fn build(&self) -> Result<Proxy> {
        // The URL is in no error: it may hold a password.
        self.read().ok_or_else(|| {
            WebhookError::InvalidConfig(
                "the proxy is not of the form http://user:password@host:port, where http may be \
                 https, socks5 or socks5h, and user and password may be missing"
                    .into(),
            )
        })
    }

    fn read(&self) -> Option<Proxy> {
        let url = Url::parse(&self.url).ok()?;
        // A path would be dropped without a word: more likely the URL of something else was given.
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        let (protocol, port, resolves_names) = match url.scheme() {
            "http" => (Protocol::Http, 80, self.resolves_names),
            "https" => (Protocol::Https, 443, self.resolves_names),
            "socks5" => (Protocol::Socks5, 1080, self.resolves_names),
            "socks5h" => (Protocol::Socks5, 1080, true),
            _ => return None,
        };
        Some(Proxy {
            protocol,
            host: host(&url)?,
            port: url.port().unwrap_or(port),
            resolves_names,
            login: login(&url, protocol)?,
        })
    }
}

/// The host; the parser knows addresses only in schemes of the web.
fn host(url: &Url) -> Option<Host<String>> {
    let host = url.host()?.to_owned();
    Some(match &host {
        Host::Domain(name) => match name.parse() {
            Ok(IpAddr::V4(ip)) => Host::Ipv4(ip),
            Ok(IpAddr::V6(ip)) => Host::Ipv6(ip),
            Err(_) if name.is_empty() => return None,
            Err(_) => host,
        },
        Host::Ipv4(_) | Host::Ipv6(_) => host,
    })
}

/// User name and password, `Some(None)` without; `None` where they cannot be sent.
#[expect(
    clippy::option_option,
    reason = "whether there is one, and whether it can be read"
)]
fn login(url: &Url, protocol: Protocol) -> Option<Option<Login>> {
    let password = url.password().unwrap_or_default();
    if url.username().is_empty() && password.is_empty() {
        return Some(None);
    }
    let (user, password) = (decoded(url.username())?, decoded(password)?);
    let fits = match protocol {
        // RFC 1929: a byte tells the length.
        Protocol::Socks5 => [&user, &password].iter().all(|text| text.len() <= 255),
        // RFC 7617 section 2: a colon ends the user name, and nothing is a control character.
        Protocol::Http | Protocol::Https => {
            let control = |byte: &u8| byte.is_ascii_control();
            !user.contains(&b':') && !user.iter().chain(password.iter()).any(control)
        }
    };
    fits.then_some(Some(Login { user, password }))
}

/// What percent-encoded text stands for.
fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind;
    }
    Some(bytes)
}

impl From<&str> for ProxyConfig {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for ProxyConfig {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl From<&String> for ProxyConfig {
    fn from(url: &String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the URL only what was understood, without the login.
        f.debug_struct("ProxyConfig")
            .field("proxy", &self.read())
            .finish_non_exhaustive()
    }
}
