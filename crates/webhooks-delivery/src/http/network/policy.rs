//! What requests may reach.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use webhooks_core::{Result, WebhookError};

use super::{Refusal, address_rules, name_rules, port_rules};

/// What requests may reach.
///
/// The default is strict: https to public names and addresses, on ports that belong to no
/// well-known internal service. The methods open more of it, by name. No policy opens the metadata
/// addresses of clouds, nor user names, fragments and malformed text in URLs.
///
/// ```
/// use webhooks_delivery::NetworkPolicy;
///
/// let policy = NetworkPolicy::default().allow_http().allow_cidr("10.1.0.0/16")?.allow_port(8080);
/// policy.check_url("http://10.1.2.3:8080/hook")?;
/// assert!(policy.check_url("http://10.2.0.1/hook").is_err());
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct NetworkPolicy {
    http: bool,
    nat64: bool,
    any_port: bool,
    any_name: bool,
    ports: BTreeSet<u16>,
    names: Vec<String>,
    /// Opened beyond the public ranges; looked at after the metadata addresses, which stay closed.
    networks: Vec<IpNet>,
}

impl NetworkPolicy {
    /// Opens http, private addresses with loopback, every port, `localhost` and every other
    /// well-formed name: for development.
    #[must_use]
    pub fn permissive() -> Self {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
        let v6 = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0);
        Self {
            http: true,
            any_port: true,
            any_name: true,
            networks: vec![v4.into(), v6.into()],
            ..Self::default()
        }
    }

    /// Opens plain http besides https.
    ///
    /// Whoever is on the way can then read bodies, and send a captured request again while its
    /// signature is young.
    #[must_use]
    pub fn allow_http(mut self) -> Self {
        self.http = true;
        self
    }

    /// Opens a range of addresses, such as `10.1.0.0/16` or `fd12:3456::/32`, or one address.
    /// Metadata addresses inside it stay refused.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] when it is neither.
    #[must_use = "the policy is in the result"]
    pub fn allow_cidr(mut self, cidr: &str) -> Result<Self> {
        let network = cidr
            .parse::<IpNet>()
            .or_else(|_| cidr.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                WebhookError::InvalidConfig(
                    format!("{cidr:?} is not a range of addresses such as 10.1.0.0/16").into(),
                )
            })?;
        self.networks.push(network);
        Ok(self)
    }

    /// Opens one port that is closed by default: of the browsers' list of bad ports (WHATWG Fetch)
    /// or of a well-known internal service. All others are open.
    #[must_use]
    pub fn allow_port(mut self, port: u16) -> Self {
        self.ports.insert(port);
        self
    }

    /// Opens a name that is closed by default, such as `hooks.internal` or `gateway`; with `*.` in
    /// front, all names below it. What it resolves to is judged all the same.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] when it is not a name.
    #[must_use = "the policy is in the result"]
    pub fn allow_name(mut self, name: &str) -> Result<Self> {
        let lower = name_rules::relative(name).to_ascii_lowercase();
        name_rules::check_form(lower.strip_prefix("*.").unwrap_or(&lower)).map_err(|refusal| {
            WebhookError::InvalidConfig(format!("{name:?} is not a name: {refusal}").into())
        })?;
        self.names.push(lower);
        Ok(self)
    }

    /// Opens addresses behind the well-known prefix of NAT64, `64:ff9b::/96` (RFC 6052), which are
    /// then judged by the IPv4 address they carry.
    #[must_use]
    pub fn allow_nat64(mut self) -> Self {
        self.nat64 = true;
        self
    }

    /// Whether the address may be dialled.
    #[must_use]
    pub fn allows_address(&self, address: IpAddr) -> bool {
        // First, so that nothing a policy opens can come before it.
        if address_rules::is_metadata(address) {
            return false;
        }
        if self.networks.iter().any(|net| net.contains(&address)) {
            return true;
        }
        match address {
            IpAddr::V4(_) => !address_rules::is_refused(address),
            IpAddr::V6(v6) => match address_rules::nat64(v6) {
                // A NAT64 gateway sends to the address inside, which must pass the same rules.
                Some(v4) => self.nat64 && self.allows_address(v4.into()),
                None => {
                    !address_rules::is_refused(address)
                        && address_rules::isatap(v6).is_none_or(|v4| self.allows_address(v4.into()))
                }
            },
        }
    }

    /// Whether an address that stands in a URL may be dialled.
    pub(crate) fn check_literal(&self, address: IpAddr) -> Result<(), Refusal> {
        if self.allows_address(address) {
            return Ok(());
        }
        Err(Refusal::new(format!(
            "address {address} is not in a public range"
        )))
    }

    pub(crate) fn check_scheme(&self, scheme: &str) -> Result<(), Refusal> {
        match scheme {
            "https" => Ok(()),
            "http" if self.http => Ok(()),
            "http" => Err(Refusal::new("plain http is not allowed")),
            _ => Err(Refusal::new("the scheme is not https")),
        }
    }

    pub(crate) fn check_port(&self, port: u16) -> Result<(), Refusal> {
        if self.any_port || self.ports.contains(&port) || !port_rules::is_refused(port) {
            return Ok(());
        }
        Err(Refusal::new(format!(
            "port {port} belongs to another service"
        )))
    }

    /// Whether a name may be resolved: well-formed in any case, and public or opened.
    pub(crate) fn check_name(&self, name: &str) -> Result<(), Refusal> {
        name_rules::check_form(name)?;
        if self.any_name || self.opens_name(name_rules::relative(name)) {
            return Ok(());
        }
        name_rules::check_public(name)
    }

    fn opens_name(&self, name: &str) -> bool {
        self.names.iter().any(|open| match open.strip_prefix("*.") {
            Some(parent) => name != parent && name_rules::is_within(name, parent),
            None => name == open,
        })
    }
}
