use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// Every address of 127.0.0.0/8 at one port: they answer 200, and keep connections open for ever.
pub(crate) struct Hosts(u16);

impl Hosts {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = thread::Builder::new().stack_size(64 << 10);
                serve.spawn(move || drop(serve_all(&stream))).unwrap();
            }
        });
        Self(port)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.0
    }
}

fn serve_all(stream: &TcpStream) -> std::io::Result<()> {
    let mut requests = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if requests.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        requests.read_exact(&mut vec![0; length])?;
        let mut answers = stream;
        answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}
