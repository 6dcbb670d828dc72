//! Ports that no webhook should reach.
//!
//! A request to a mail server or a cache is understood there in part: its body can hold commands,
//! which the sender of an event chooses. TLS to such a port does no such harm, but still shows what
//! is open inside a network.

/// Ports that browsers refuse (WHATWG Fetch, "port blocking"), and ports of well-known internal
/// services; sorted.
const REFUSED: [u16; 102] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1433, 1521, 1719, 1720, 1723, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045,
    4190, 5060, 5061, 5432, 5672, 6000, 6379, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697,
    9042, 9092, 9200, 9300, 10080, 10250, 11211, 27017,
];

/// Whether a policy must name the port before it is dialled.
pub(crate) fn is_refused(port: u16) -> bool {
    REFUSED.binary_search(&port).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_so_that_every_port_of_it_is_found() {
        assert!(REFUSED.is_sorted());
        assert!(REFUSED.iter().all(|port| is_refused(*port)));
        assert!([80, 443, 3000, 8080, 8443].iter().all(|p| !is_refused(*p)));
    }
}
