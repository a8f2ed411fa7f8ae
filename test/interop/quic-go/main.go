// One Ping over a QUIC stack that shares no code with ours: quic-go, crypto/tls and golang/protobuf, as Debian packages
// them. The messages are those of schemas/gatehouse/v1/frame.proto and health.proto, written down again by hand.
//
// It prints one JSON line, either what was answered or how the connection ended, and exits with 0 for both: what the
// right ending is, the caller knows.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/golang/protobuf/proto"
	"github.com/lucas-clemente/quic-go"
	"github.com/lucas-clemente/quic-go/logging"
)

// From frame.proto: at most 3 bytes of length, at most 1 MiB + 64 KiB of frame.
const (
	lengthBytesMax = 3
	frameBytesMax  = 1<<20 + 1<<16
)

type openFrame struct {
	Method      string `protobuf:"bytes,1,opt,name=method,proto3"`
	TimeoutMs   uint32 `protobuf:"varint,2,opt,name=timeout_ms,proto3"`
	RequestID   []byte `protobuf:"bytes,3,opt,name=request_id,proto3"`
	Traceparent string `protobuf:"bytes,4,opt,name=traceparent,proto3"`
}

type closeFrame struct {
	Status       uint32 `protobuf:"varint,1,opt,name=status,proto3" json:"status"`
	Code         string `protobuf:"bytes,2,opt,name=code,proto3" json:"code"`
	Message      string `protobuf:"bytes,3,opt,name=message,proto3" json:"message"`
	Hint         string `protobuf:"bytes,4,opt,name=hint,proto3" json:"hint"`
	RetryAfterMs uint32 `protobuf:"varint,5,opt,name=retry_after_ms,proto3" json:"retryAfterMs"`
}

// The members of a oneof are on the wire what optional fields are.
type frame struct {
	Open    *openFrame  `protobuf:"bytes,1,opt,name=open"`
	Message []byte      `protobuf:"bytes,2,opt,name=message"`
	Close   *closeFrame `protobuf:"bytes,3,opt,name=close"`
}

// PingRequest and PingResponse have the same one field.
type ping struct {
	Payload []byte `protobuf:"bytes,1,opt,name=payload,proto3"`
}

func (m *openFrame) Reset()          { *m = openFrame{} }
func (m *openFrame) String() string  { return proto.CompactTextString(m) }
func (*openFrame) ProtoMessage()     {}
func (m *closeFrame) Reset()         { *m = closeFrame{} }
func (m *closeFrame) String() string { return proto.CompactTextString(m) }
func (*closeFrame) ProtoMessage()    {}
func (m *frame) Reset()              { *m = frame{} }
func (m *frame) String() string      { return proto.CompactTextString(m) }
func (*frame) ProtoMessage()         {}
func (m *ping) Reset()               { *m = ping{} }
func (m *ping) String() string       { return proto.CompactTextString(m) }
func (*ping) ProtoMessage()          {}

type answer struct {
	Close     *closeFrame `json:"close"`
	Payload   string      `json:"payload"`
	Protocol  string      `json:"alpn"`
	TLS       string      `json:"tls"`
	ServerDNS []string    `json:"serverNames"`
	Retries   int         `json:"retries"`
}

type refusal struct {
	// "application", "transport", "timeout" or "local".
	Kind    string `json:"kind"`
	Code    uint64 `json:"code"`
	Remote  bool   `json:"remote"`
	Message string `json:"message"`
}

func main() {
	address := flag.String("address", "", "HOST:PORT of the door")
	serverName := flag.String("server-name", "", "DNS name in the door's certificate")
	authority := flag.String("ca", "", "PEM file of the authorities")
	certificate := flag.String("cert", "", "PEM file of the client's certificate; none: no certificate")
	key := flag.String("key", "", "PEM file of its key")
	protocol := flag.String("alpn", "gatehouse/1", "application protocol")
	payload := flag.String("payload", "", "file of what to ping with; none: nothing")
	timeout := flag.Duration("timeout", 10*time.Second, "for everything")
	flag.Parse()

	config, err := tlsConfig(*authority, *certificate, *key, *serverName, *protocol)
	if err != nil {
		fail(err)
	}
	echo := []byte{}
	if *payload != "" {
		if echo, err = os.ReadFile(*payload); err != nil {
			fail(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	got, err := call(ctx, *address, config, echo)
	if err != nil {
		print(map[string]interface{}{"refused": describe(err)})
		return
	}
	print(map[string]interface{}{"answered": got})
}

func call(ctx context.Context, address string, config *tls.Config, payload []byte) (*answer, error) {
	tracer := &retryCounter{}
	connection, err := quic.DialAddrContext(ctx, address, config, &quic.Config{
		Versions: []quic.VersionNumber{quic.Version1},
		Tracer:   tracer,
	})
	if err != nil {
		return nil, err
	}
	defer connection.CloseWithError(0, "")
	stream, err := connection.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	stream.SetDeadline(deadline)
	request, err := encodePing(payload)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write(request); err != nil {
		return nil, err
	}
	if err := stream.Close(); err != nil {
		return nil, err
	}
	reply, end, err := readReply(bufio.NewReader(stream))
	if err != nil {
		return nil, err
	}
	state := connection.ConnectionState().TLS
	return &answer{
		Close:     end,
		Payload:   hex.EncodeToString(reply),
		Protocol:  state.NegotiatedProtocol,
		TLS:       fmt.Sprintf("%#04x", state.Version),
		ServerDNS: state.PeerCertificates[0].DNSNames,
		Retries:   tracer.count,
	}, nil
}

// Open + message; the FIN follows. A unary call is one write each way.
func encodePing(payload []byte) ([]byte, error) {
	message, err := proto.Marshal(&ping{Payload: payload})
	if err != nil {
		return nil, err
	}
	if message == nil {
		message = []byte{}
	}
	frames := []*frame{
		{Open: &openFrame{
			Method:    "/gatehouse.v1.Health/Ping",
			TimeoutMs: 5000,
			RequestID: []byte("quic-go: 16 byte"),
		}},
		{Message: message},
	}
	var encoded bytes.Buffer
	for _, one := range frames {
		bytes, err := proto.Marshal(one)
		if err != nil {
			return nil, err
		}
		encoded.Write(proto.EncodeVarint(uint64(len(bytes))))
		encoded.Write(bytes)
	}
	return encoded.Bytes(), nil
}

// The one message, if any, and the close that ends every call; nothing may follow it.
func readReply(reader *bufio.Reader) ([]byte, *closeFrame, error) {
	var payload []byte
	for {
		next, err := readFrame(reader)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case next.Message != nil:
			var response ping
			if err := proto.Unmarshal(next.Message, &response); err != nil {
				return nil, nil, err
			}
			payload = response.Payload
		case next.Close != nil:
			if _, err := reader.ReadByte(); err != io.EOF {
				return nil, nil, errors.New("bytes after the close")
			}
			return payload, next.Close, nil
		default:
			return nil, nil, errors.New("a frame that neither carries a message nor closes")
		}
	}
}

func readFrame(reader *bufio.Reader) (*frame, error) {
	length, err := readLength(reader)
	if err != nil {
		return nil, err
	}
	bytes := make([]byte, length)
	if _, err := io.ReadFull(reader, bytes); err != nil {
		return nil, err
	}
	var decoded frame
	return &decoded, proto.Unmarshal(bytes, &decoded)
}

func readLength(reader *bufio.Reader) (uint64, error) {
	var varint []byte
	for len(varint) < lengthBytesMax {
		next, err := reader.ReadByte()
		if err != nil {
			return 0, err
		}
		varint = append(varint, next)
		if next < 0x80 {
			break
		}
	}
	length, read := binary.Uvarint(varint)
	if read != len(varint) || length > frameBytesMax {
		return 0, fmt.Errorf("not a frame's length: %x", varint)
	}
	return length, nil
}

func tlsConfig(authority, certificate, key, serverName, protocol string) (*tls.Config, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no authority in " + authority)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    pool,
		ServerName: serverName,
		NextProtos: []string{protocol},
	}
	if certificate == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	// Whatever authorities the door names: what it makes of a wrong certificate is what is asked here.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return config, nil
}

func describe(err error) refusal {
	var application *quic.ApplicationError
	var transport *quic.TransportError
	var timeout net.Error
	switch {
	case errors.As(err, &application):
		return refusal{"application", uint64(application.ErrorCode), application.Remote, application.ErrorMessage}
	case errors.As(err, &transport):
		return refusal{"transport", uint64(transport.ErrorCode), transport.Remote, transport.Error()}
	case errors.As(err, &timeout) && timeout.Timeout():
		return refusal{"timeout", 0, false, err.Error()}
	default:
		return refusal{"local", 0, false, err.Error()}
	}
}

func print(document interface{}) {
	if err := json.NewEncoder(os.Stdout).Encode(document); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Sees whether the door asked this client to prove its address first (RFC 9000 §8.1.2).
type retryCounter struct {
	logging.NullTracer
	count int
}

func (c *retryCounter) TracerForConnection(
	context.Context, logging.Perspective, logging.ConnectionID,
) logging.ConnectionTracer {
	return &retryWatch{counter: c}
}

type retryWatch struct {
	logging.NullConnectionTracer
	counter *retryCounter
}

func (w *retryWatch) ReceivedRetry(*logging.Header) { w.counter.count++ }
