module github.com/tcpshaker/libtcpshaker/bindings/go

go 1.22
