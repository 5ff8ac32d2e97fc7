package gathering

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// IDs are a prefix that tells the noun and a UUIDv7 (RFC 9562) in lower-case
// base32hex, which sorts as the UUID does: IDs made later sort later.
type (
	// RunID names a run, as in run_0ab….
	RunID string
	// PipelineID names a stored pipeline, as in pip_0ab….
	PipelineID string
	// ProjectID names a project by a word that was chosen when it was made, as
	// [DefaultProject].
	ProjectID string
	// UserID names a user, as in usr_0ab….
	UserID string
	// SessionID names what a sign-in began, as in ses_0ab….
	SessionID string
	// TokenID names an API token, as in tok_0ab…. It is not the token.
	TokenID string
	// ProviderID names a stored provider of models, as in prv_0ab….
	ProviderID string
	// InstanceID names one start of one process, as in ins_0ab….
	InstanceID string
	// InboxID names one entry of a run's inbox, as in box_0ab….
	InboxID string
)

// DefaultProject is the project that everything belongs to unless said otherwise.
const DefaultProject ProjectID = "default"

// NewRunID returns a fresh ID that sorts after those made before now.
func NewRunID(now time.Time) RunID { return RunID("run_" + randomUUID(now)) }

// NewPipelineID returns a fresh ID that sorts after those made before now.
func NewPipelineID(now time.Time) PipelineID { return PipelineID("pip_" + randomUUID(now)) }

// NewInstanceID returns a fresh ID that sorts after those made before now.
func NewInstanceID(now time.Time) InstanceID { return InstanceID("ins_" + randomUUID(now)) }

// NewInboxID returns a fresh ID that sorts after those made before now.
func NewInboxID(now time.Time) InboxID { return InboxID("box_" + randomUUID(now)) }

// NewUserID returns a fresh ID that sorts after those made before now.
func NewUserID(now time.Time) UserID { return UserID("usr_" + randomUUID(now)) }

// NewSessionID returns a fresh ID that sorts after those made before now.
func NewSessionID(now time.Time) SessionID { return SessionID("ses_" + randomUUID(now)) }

// NewTokenID returns a fresh ID that sorts after those made before now.
func NewTokenID(now time.Time) TokenID { return TokenID("tok_" + randomUUID(now)) }

// NewProviderID returns a fresh ID that sorts after those made before now.
func NewProviderID(now time.Time) ProviderID { return ProviderID("prv_" + randomUUID(now)) }

// ValidRunID reports whether id has the form of a run's ID.
func ValidRunID(id RunID) bool {
	text, ok := strings.CutPrefix(string(id), "run_")
	if !ok || len(text) != 26 {
		return false
	}
	return strings.Trim(text, "0123456789abcdefghijklmnopqrstuv") == ""
}

// ChildRunID returns the ID of the run that a node starts, at the time of the
// node's start. No two nodes, items or attempts of a run have the same.
func ChildRunID(parent RunID, node string, item, attempt int, at time.Time) RunID {
	key := strings.Join([]string{string(parent), node, strconv.Itoa(item), strconv.Itoa(attempt)}, "\x00")
	sum := sha256.Sum256([]byte(key))
	return RunID("run_" + uuid(at, [8]byte(sum[:8])))
}

func randomUUID(now time.Time) string {
	var tail [8]byte
	_, _ = rand.Read(tail[:]) // crypto/rand.Read never fails: it ends the process instead
	return uuid(now, tail)
}

// uuid lays out a UUIDv7: 48 bits of milliseconds, 12 bits of the millisecond's
// fraction (RFC 9562, section 6.2, method 3), 62 bits of tail.
func uuid(now time.Time, tail [8]byte) string {
	micros := now.UnixMicro()
	var u [16]byte
	binary.BigEndian.PutUint64(u[:8], uint64(micros/1000)<<16)
	fraction := uint16(micros%1000) << 2
	u[6] = 0x70 | byte(fraction>>8)
	u[7] = byte(fraction & 0xff)
	copy(u[8:], tail[:])
	u[8] = u[8]&0x3f | 0x80
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(u[:]))
}
