package auth

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// scram is what the server knows of a password for SCRAM-SHA-256: enough to check a proof, not to make one.
// As text (RFC 5803):
//
//	SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey     salt and keys in base64
type scram struct {
	iterations int
	salt       []byte
	storedKey  []byte // H(HMAC(SaltedPassword, "Client Key"))
	serverKey  []byte // HMAC(SaltedPassword, "Server Key")
}

const (
	scramIterations = 15_000 // what ScramHash uses; every client computes them when it connects
	minIterations   = 4096   // RFC 7677, section 4
	maxIterations   = 1 << 24
)

// ScramHash returns what to write behind "name:" in a password file for SCRAM-SHA-256. The password is taken byte by
// byte: one beyond ASCII must have been prepared (RFC 4013) as its client does it.
func ScramHash(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails
	s, err := newScram(password, salt, scramIterations)
	if err != nil {
		panic("BUG: " + err.Error()) // of the parameters above
	}
	return s.String()
}

func newScram(password string, salt []byte, iterations int) (*scram, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return nil, err
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	return &scram{iterations: iterations, salt: salt, storedKey: stored[:], serverKey: mac(salted, "Server Key")}, nil
}

func (s *scram) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", ScramMethod, s.iterations, b64(s.salt), b64(s.storedKey), b64(s.serverKey))
}

var errScramLine = errors.New(`want "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey"`)

// isScram tells a line for SCRAM from others.
func isScram(s string) bool { return strings.HasPrefix(s, ScramMethod+"$") }

func parseScram(s string) (*scram, error) {
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return nil, errScramLine
	}
	count, salt, ok1 := strings.Cut(f[1], ":")
	stored, server, ok2 := strings.Cut(f[2], ":")
	if !ok1 || !ok2 {
		return nil, errScramLine
	}
	out := new(scram)
	var err error
	out.iterations, err = strconv.Atoi(count)
	if err != nil || out.iterations < minIterations || out.iterations > maxIterations {
		return nil, fmt.Errorf("iterations %q: allowed are %d to %d", count, minIterations, maxIterations)
	}
	for _, field := range []struct {
		to          *[]byte
		name, text  string
		least, most int
	}{
		{&out.salt, "salt", salt, minSalt, maxField},
		{&out.storedKey, "StoredKey", stored, sha256.Size, sha256.Size},
		{&out.serverKey, "ServerKey", server, sha256.Size, sha256.Size},
	} {
		b, err := base64.StdEncoding.Strict().DecodeString(field.text)
		if err != nil {
			return nil, fmt.Errorf("%s is not base64: %w", field.name, err)
		}
		if len(b) < field.least || len(b) > field.most {
			return nil, fmt.Errorf("%s has %d bytes, allowed are %d to %d", field.name, len(b), field.least, field.most)
		}
		*field.to = b
	}
	return out, nil
}
