package store

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gathering"
)

// server is a PostgreSQL server as whoever opens a database on it named it, who
// alone is told more of what is the matter than [postgresNamed] says.
type server struct {
	url    string
	config *pgx.ConnConfig
}

// named is [postgresNamed] with the name of the server and, in words of its
// own, why there was no connection. A driver's words may hold the user.
func (s server) named(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); !ok || ctx.Err() != nil {
		return postgresNamed(err)
	}
	message := "the database" + s.at() + " cannot be reached"
	switch code := postgresCode(err); code {
	case "28000", "28P01":
		message = "the database" + s.at() + " refuses the user or the password"
	case "3D000":
		message = "there is no such database on the server"
		if at := s.at(); at != "" {
			message = "there is no database " + strconv.Quote(s.config.Database) + at
		}
	case "57P03":
		message += ": it is starting or stopping"
	case "":
		if why := s.why(err); why != "" {
			message += ": " + why
		}
	default:
		return postgresNamed(err)
	}
	return gathering.NewError(gathering.KindUnavailable, "%s", message).WithCause(err)
}

// at is where the server is, as in " at db.example.com:5432"; "" where that may
// be a part of a password: one with a /, ? or # in it ends what comes before
// the @ too early.
func (s server) at() string {
	if _, rest, ok := strings.Cut(s.url, "://"); ok {
		if end := strings.IndexAny(rest, "/?#"); end >= 0 && strings.Contains(rest[end:], "@") {
			return ""
		}
	}
	var all []string
	add := func(host string, port uint16) {
		_, address := pgconn.NetworkAddress(host, port)
		if !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	add(s.config.Host, s.config.Port)
	for _, f := range s.config.Fallbacks {
		add(f.Host, f.Port)
	}
	return " at " + strings.Join(all, ", ")
}

// why says why there was no connection; "" where that is not known.
func (s server) why(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "no such host"
		}
		return "the name of its host cannot be looked up"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not trusted"
	}
	failure, _ := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such socket"
	case errors.Is(err, fs.ErrPermission):
		return "its socket may not be used"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to its host"
	case failure != nil && failure.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no answer in the time allowed"
	case s.wantsTLS() && strings.Contains(err.Error(), "server refused TLS connection"): // the error has no type
		return "it has no TLS, which sslmode asks for"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "it closed the connection"
	}
	return ""
}

// wantsTLS reports whether no connection is made without TLS.
func (s server) wantsTLS() bool {
	return s.config.TLSConfig != nil &&
		!slices.ContainsFunc(s.config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
}
