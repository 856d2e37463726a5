//! A name server that answers what a test tells it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

/// A running name server.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
}

impl NameServer {
    /// Answers with what `zone` gives for a name (without the last dot) and a type; `None` is "no such name".
    pub(crate) async fn start<Z>(zone: Z) -> Self
    where
        Z: Fn(&str, RecordType) -> Option<Vec<RData>> + Send + 'static,
    {
        Self::answering(move |name, kind| zone(name, kind).ok_or(ResponseCode::NXDomain)).await
    }

    async fn answering<Z>(zone: Z) -> Self
    where
        Z: Fn(&str, RecordType) -> Result<Vec<RData>, ResponseCode> + Send + 'static,
    {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let question = query.queries[0].clone();
                let name = question.name().to_utf8().trim_end_matches('.').to_lowercase();
                log.lock().unwrap().push((name.clone(), question.query_type()));
                let mut answer = Message::response(query.metadata.id, OpCode::Query);
                answer.metadata.recursion_desired = true;
                answer.metadata.recursion_available = true;
                answer.add_query(question.clone());
                match zone(&name, question.query_type()) {
                    Err(code) => answer.metadata.response_code = code,
                    Ok(found) => {
                        for data in found {
                            // Not to be kept: each question reaches the test.
                            answer.add_answer(Record::from_rdata(question.name().clone(), 0, data));
                        }
                    }
                }
                socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
            }
        });
        Self { address, asked }
    }

    /// Answers every question with this failure.
    pub(crate) async fn failing(code: ResponseCode) -> Self {
        Self::answering(move |_, _| Err(code)).await
    }

    /// Takes every question and never answers.
    pub(crate) async fn silent() -> (Self, UdpSocket) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        (Self { address: socket.local_addr().unwrap(), asked: Arc::default() }, socket)
    }

    /// How often this was asked for.
    pub(crate) fn asked(&self, name: &str, kind: RecordType) -> usize {
        self.asked.lock().unwrap().iter().filter(|(n, k)| n == name && *k == kind).count()
    }
}

/// The addresses of one kind, as records.
pub(crate) fn addresses(kind: RecordType, list: &[&str]) -> Vec<RData> {
    let parsed = list.iter().map(|address| address.parse::<IpAddr>().unwrap());
    parsed
        .filter(|address| address.is_ipv4() == (kind == RecordType::A))
        .filter(|_| matches!(kind, RecordType::A | RecordType::AAAA))
        .map(RData::from)
        .collect()
}

pub(crate) fn service(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, weight, port, Name::from_utf8(format!("{target}.")).unwrap()))
}
