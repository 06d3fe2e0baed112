//! Targets of unit tests, all of them on this host, each for as long as what is returned with it.

use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

/// It answers.
pub(crate) fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// It refuses: the port is bound, and nobody listens.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    let socket = bound(0).unwrap();
    let address = address(&socket);
    (socket, address)
}

/// It gives no answer: the accept queue holds one, and that is taken.
pub(crate) fn silent() -> (Socket, TcpStream, SocketAddr) {
    silent_at(0).unwrap()
}

/// The same, at this port.
pub(crate) fn silent_at(port: u16) -> std::io::Result<(Socket, TcpStream, SocketAddr)> {
    let listener = bound(port)?;
    listener.listen(0)?;
    let address = address(&listener);
    let taken = TcpStream::connect(address)?;
    Ok((listener, taken, address))
}

fn bound(port: u16) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    Ok(socket)
}

fn address(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}
