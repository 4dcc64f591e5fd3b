//! Name look-ups for callbacks. Few run at once, because a zone whose servers are silent must not occupy every slot.
//! Only addresses that were checked in the same look-up are dialled. If one address of an answer is refused, the whole
//! answer is: a host that mixes allowed and refused addresses is probably an attacker's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::address_guard::{AddressGuard, Refused};
use common::callback_url::is_localhost;
use common::error_chain::BoxError;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverOpts;
use moka::sync::Cache;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

/// The maximum number of addresses of one name that are dialled.
const MAX_ADDRESSES: usize = 8;
/// An attempt looks its host up twice: to get permits for its addresses, and to dial them. Both must get the same
/// answer, even if its time to live is 0.
const KEPT_AT_LEAST: Duration = Duration::from_secs(1);
const KEPT_AT_MOST: Duration = Duration::from_secs(60);
/// A name that does not exist now may exist at the next attempt, whatever its zone's time to live is.
const MISSING_KEPT_AT_MOST: Duration = Duration::from_secs(2);
/// The limit for one server's answer; a second try still fits into the time limit of an attempt.
const SERVER_LIMIT: Duration = Duration::from_secs(1);
/// The maximum number of cached names.
const MAX_KNOWN: u64 = 10_000;
/// How long a look-up waits for others to end.
const MAX_WAIT: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(crate) struct VettedResolver {
    resolver: TokioResolver,
    guard: Arc<AddressGuard>,
    known: Cache<String, KnownName>,
    /// One permit for each look-up that may be in flight.
    free: Arc<Semaphore>,
}

/// A cached answer, whose addresses were checked.
#[derive(Clone)]
struct KnownName {
    addresses: Vec<IpAddr>,
    until: Instant,
}

/// Why a name has no addresses that may be dialled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotResolved {
    /// The name has no address at present.
    #[error("the name cannot be resolved: {0}")]
    Unknown(#[source] BoxError),
    /// One of its addresses may not be dialled.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name was not looked up, because too many other look-ups are in progress.
    #[error("too many names are being looked up")]
    Crowded,
}

impl VettedResolver {
    /// Reads the machine's resolver configuration and hosts file.
    pub(crate) fn new(guard: AddressGuard, concurrency: u16) -> Result<Self, BoxError> {
        let mut builder = TokioResolver::builder_tokio()?;
        bounded(builder.options_mut());
        let resolver = builder.build()?;
        Ok(Self::over(resolver, guard, usize::from(concurrency).div_ceil(4)))
    }

    fn over(resolver: TokioResolver, guard: AddressGuard, at_once: usize) -> Self {
        let known = Cache::new(MAX_KNOWN);
        Self { resolver, guard: Arc::new(guard), known, free: Arc::new(Semaphore::new(at_once)) }
    }

    /// The addresses of a name, all of them checked.
    pub(crate) async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, NotResolved> {
        if is_localhost(name) {
            return Ok(self.loopback()?);
        }
        if let Some(known) = self.known.get(name).filter(|known| known.until > Instant::now()) {
            return Ok(known.addresses);
        }
        let free = tokio::time::timeout(MAX_WAIT, self.free.acquire()).await;
        let Ok(Ok(_permit)) = free else { return Err(NotResolved::Crowded) };
        let found = self.resolver.lookup_ip(name).await;
        let found = found.map_err(|error| NotResolved::Unknown(error.into()))?;
        let mut addresses = Vec::new();
        for address in found.iter() {
            self.guard.check(address)?;
            addresses.push(address);
        }
        if addresses.is_empty() {
            return Err(NotResolved::Unknown("it has no address".into()));
        }
        addresses.truncate(MAX_ADDRESSES);
        let known = KnownName { addresses: addresses.clone(), until: found.valid_until() };
        self.known.insert(name.to_owned(), known);
        Ok(addresses)
    }

    /// `localhost` is resolved without a DNS server (RFC 6761), so no answer can be forged: the admitted ones of the
    /// two loopback addresses are dialled.
    fn loopback(&self) -> Result<Vec<IpAddr>, Refused> {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let admitted: Vec<_> =
            both.into_iter().filter(|address| self.guard.check(*address).is_ok()).collect();
        if admitted.is_empty() {
            self.guard.check(both[0])?;
        }
        Ok(admitted)
    }
}

fn bounded(options: &mut ResolverOpts) {
    options.positive_min_ttl = Some(KEPT_AT_LEAST);
    options.positive_max_ttl = Some(KEPT_AT_MOST);
    options.negative_max_ttl = Some(MISSING_KEPT_AT_MOST);
    options.timeout = SERVER_LIMIT;
}

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let addresses = this.look_up(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
    use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
    use hickory_resolver::proto::rr::{Name as DnsName, RData, Record, RecordType};
    use tokio::net::UdpSocket;

    use super::*;

    /// The answer of the server to one question: records, garbage, or nothing.
    enum Answer {
        Records(Vec<Record>),
        Missing,
        Garbage,
        Silence,
    }

    fn name(text: &str) -> DnsName {
        DnsName::from_ascii(text).unwrap()
    }

    fn a(owner: &str, address: &str) -> Record {
        Record::from_rdata(name(owner), 0, RData::A(A(address.parse().unwrap())))
    }

    fn aaaa(owner: &str, address: &str) -> Record {
        Record::from_rdata(name(owner), 0, RData::AAAA(AAAA(address.parse().unwrap())))
    }

    fn cname(owner: &str, target: &str) -> Record {
        Record::from_rdata(name(owner), 0, RData::CNAME(CNAME(name(target))))
    }

    /// A resolver with a malicious DNS server, which answers each question anew through `answer`.
    async fn resolver(mut answer: impl FnMut(RecordType) -> Answer + Send + 'static) -> VettedResolver {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let query = question.queries[0].clone();
                let mut reply = Message::response(question.metadata.id, OpCode::Query);
                match answer(query.query_type()) {
                    Answer::Records(records) => drop(reply.add_answers(records)),
                    Answer::Missing => reply.metadata.response_code = ResponseCode::NXDomain,
                    Answer::Garbage => {
                        socket.send_to(&[0xff; 300], client).await.unwrap();
                        continue;
                    }
                    Answer::Silence => continue,
                }
                reply.add_query(query);
                socket.send_to(&reply.to_vec().unwrap(), client).await.unwrap();
            }
        });
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let servers = vec![NameServerConfig::new(server.ip(), true, vec![connection])];
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        bounded(builder.options_mut());
        builder.options_mut().timeout = Duration::from_millis(200);
        let resolver = builder.build().unwrap();
        VettedResolver::over(resolver, AddressGuard::default(), 4)
    }

    /// A resolver that answers every question of a type with the same records.
    async fn answering(records: Vec<Record>) -> VettedResolver {
        resolver(move |wanted| {
            let fits = |record: &&Record| [wanted, RecordType::CNAME].contains(&record.record_type());
            Answer::Records(records.iter().filter(fits).cloned().collect())
        })
        .await
    }

    const HOST: &str = "host.example.";

    #[tokio::test]
    async fn public_addresses_are_found() {
        let resolver = answering(vec![a(HOST, "93.184.216.34"), aaaa(HOST, "2606:4700::1111")]).await;
        let mut found = resolver.look_up(HOST).await.unwrap();
        found.sort();
        assert_eq!(found, ["93.184.216.34".parse::<IpAddr>().unwrap(), "2606:4700::1111".parse().unwrap()]);
    }

    #[tokio::test]
    async fn one_refused_address_refuses_the_whole_answer() {
        for refused in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "0.0.0.0", "192.168.0.1"] {
            let resolver = answering(vec![a(HOST, "93.184.216.34"), a(HOST, refused)]).await;
            let error = resolver.look_up(HOST).await.unwrap_err();
            assert!(matches!(error, NotResolved::Refused(_)), "{refused}: {error}");
        }
        for refused in
            ["::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd00::1", "fe80::1", "2002:7f00:1::"]
        {
            let resolver = answering(vec![a(HOST, "93.184.216.34"), aaaa(HOST, refused)]).await;
            let error = resolver.look_up(HOST).await.unwrap_err();
            assert!(matches!(error, NotResolved::Refused(_)), "{refused}: {error}");
        }
    }

    #[tokio::test]
    async fn an_alias_of_a_private_name_is_refused() {
        let other = "internal.example.";
        let resolver = answering(vec![cname(HOST, other), a(other, "10.0.0.1")]).await;
        assert!(matches!(resolver.look_up(HOST).await, Err(NotResolved::Refused(_))));
    }

    #[tokio::test]
    async fn a_name_that_changes_its_address_is_vetted_at_each_look_up() {
        let asked = Arc::new(Mutex::new(0));
        let resolver = resolver(move |wanted| {
            if wanted != RecordType::A {
                return Answer::Records(Vec::new());
            }
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            Answer::Records(vec![a(HOST, if *asked == 1 { "93.184.216.34" } else { "127.0.0.1" })])
        })
        .await;
        // For one second the answer stays the same, although its time to live is 0.
        for _ in 0..2 {
            assert_eq!(resolver.look_up(HOST).await.unwrap(), [IpAddr::from([93, 184, 216, 34])]);
        }
        resolver.resolver.clear_cache();
        resolver.known.invalidate_all();
        assert!(matches!(resolver.look_up(HOST).await, Err(NotResolved::Refused(_))));
    }

    #[tokio::test]
    async fn names_without_an_answer_may_have_one_later() {
        let looped = answering(vec![cname(HOST, "b.example."), cname("b.example.", HOST)]).await;
        let resolvers = [
            ("missing", resolver(|_| Answer::Missing).await),
            ("garbage", resolver(|_| Answer::Garbage).await),
            ("silence", resolver(|_| Answer::Silence).await),
            ("empty", resolver(|_| Answer::Records(Vec::new())).await),
            (
                "another name's",
                resolver(|_| Answer::Records(vec![a("other.example.", "93.184.216.34")])).await,
            ),
            ("a loop", looped),
        ];
        for (kind, resolver) in resolvers {
            let looking = tokio::time::timeout(Duration::from_secs(30), resolver.look_up(HOST));
            let found = looking.await.expect("the servers' time limit ends the look-up");
            assert!(matches!(found, Err(NotResolved::Unknown(_))), "{kind}: {found:?}");
        }
    }

    #[tokio::test]
    async fn of_very_many_addresses_a_few_are_dialled() {
        let many = (1..=25).map(|last| a(HOST, &format!("93.184.216.{last}"))).collect();
        assert_eq!(answering(many).await.look_up(HOST).await.unwrap().len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn names_of_silent_servers_leave_names_that_are_known_alone() {
        let resolver = resolver(|wanted| match wanted {
            RecordType::A => Answer::Records(vec![a(HOST, "93.184.216.34")]),
            _ => Answer::Records(Vec::new()),
        })
        .await;
        resolver.look_up(HOST).await.unwrap();
        let _all = Arc::clone(&resolver.free).acquire_many_owned(4).await.unwrap();
        assert!(matches!(resolver.look_up("other.example.").await, Err(NotResolved::Crowded)));
        assert_eq!(resolver.look_up(HOST).await.unwrap(), [IpAddr::from([93, 184, 216, 34])]);
    }
}
