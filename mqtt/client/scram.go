package client

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxScramIterations bounds what a server can make the client compute, some seconds of a small processor.
const maxScramIterations = 1_000_000

// Scram is the method SCRAM-SHA-256 (RFC 5802, RFC 7677) for one user: the password is not sent, and the server
// has to prove that it knows it too. For Config.Auth.
type Scram struct {
	user, password string

	nonce string
	first string // client-first without its header
	proof []byte // what the server has to answer last; nil = not that far
}

// NewScram returns the method for a user. A password beyond ASCII is taken byte by byte.
func NewScram(user, password string) *Scram { return &Scram{user: user, password: password} }

// Method implements Authenticator.
func (*Scram) Method() string { return "SCRAM-SHA-256" }

// Begin implements Authenticator.
func (s *Scram) Begin() ([]byte, error) {
	s.nonce, s.proof = rand.Text(), nil
	s.first = "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s.user) + ",r=" + s.nonce
	return []byte("n,," + s.first), nil
}

// Next implements Authenticator.
func (s *Scram) Next(data []byte, last bool) ([]byte, error) {
	switch {
	case last:
		return nil, s.check(string(data))
	case s.proof != nil:
		return nil, errors.New("SCRAM-SHA-256: the server asks a second time")
	}
	return s.prove(string(data))
}

// prove answers server-first.
func (s *Scram) prove(server string) ([]byte, error) {
	f := strings.SplitN(server, ",", 4)
	if len(f) < 3 || !strings.HasPrefix(f[0], "r="+s.nonce) || len(f[0]) == len("r=")+len(s.nonce) ||
		!strings.HasPrefix(f[1], "s=") || !strings.HasPrefix(f[2], "i=") {
		return nil, errors.New("SCRAM-SHA-256: the server's first message does not go with ours")
	}
	salt, err := base64.StdEncoding.DecodeString(f[1][2:])
	if err != nil {
		return nil, fmt.Errorf("SCRAM-SHA-256: read salt: %w", err)
	}
	n, err := strconv.Atoi(f[2][2:])
	if err != nil || n < 4096 || n > maxScramIterations {
		return nil, fmt.Errorf("SCRAM-SHA-256: the server wants %.20s iterations, allowed are 4096 to %d",
			f[2][2:], maxScramIterations)
	}
	salted, err := pbkdf2.Key(sha256.New, s.password, salt, n, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("SCRAM-SHA-256: %w", err)
	}
	said := "c=biws," + f[0]
	all := s.first + "," + server + "," + said
	clientKey := mac(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	subtle.XORBytes(clientKey, clientKey, mac(stored[:], all))
	s.proof = mac(mac(salted, "Server Key"), all)
	return []byte(said + ",p=" + base64.StdEncoding.EncodeToString(clientKey)), nil
}

// check checks server-final.
func (s *Scram) check(server string) error {
	v, ok := strings.CutPrefix(server, "v=")
	got, err := base64.StdEncoding.DecodeString(v)
	if !ok || err != nil || s.proof == nil || !hmac.Equal(got, s.proof) {
		return errors.New("SCRAM-SHA-256: the server did not prove that it knows the password")
	}
	return nil
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
