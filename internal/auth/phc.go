package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// hash is one argon2id hash with its parameters. As text, in the PHC string format:
//
//	$argon2id$v=19$m=19456,t=2,p=1$salt$hash     salt and hash in base64 without padding
type hash struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
	salt    []byte
	sum     []byte
}

// What Hash uses: the least that OWASP recommends, since a gateway checks many devices on little memory.
const (
	hashMemory  = 19 << 10 // KiB
	hashPasses  = 2
	hashThreads = 1
	saltBytes   = 16
	sumBytes    = 32
)

// What a password file may ask for.
const (
	maxMemory  = 1 << 20 // KiB, 1 GiB
	maxPasses  = 64
	maxThreads = 16
	minSalt    = 8
	minSum     = 16
	maxField   = 64 // bytes of salt and sum
)

// Hash returns what to write behind "name:" in a password file.
func Hash(password string) string {
	h := hash{memory: hashMemory, passes: hashPasses, threads: hashThreads, salt: make([]byte, saltBytes)}
	rand.Read(h.salt) // never fails
	h.sum = h.of([]byte(password), sumBytes)
	return h.String()
}

// of computes the sum of a password with h's parameters.
func (h *hash) of(password []byte, size int) []byte {
	return argon2.IDKey(password, h.salt, h.passes, h.memory, h.threads, uint32(size))
}

// matches takes the same time whatever the password is.
func (h *hash) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(h.of(password, len(h.sum)), h.sum) == 1
}

func (h *hash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

var errHash = errors.New(`want "$argon2id$v=19$m=…,t=…,p=…$salt$hash", as "mangrove passwd" writes it`)

// parseHash reads the text of a hash.
func parseHash(s string) (*hash, error) {
	f := strings.Split(s, "$")
	if len(f) > 2 && f[0] == "" && f[1] != "argon2id" {
		return nil, fmt.Errorf("hash of kind %q is not known: %w", f[1], errHash)
	}
	if len(f) != 6 || f[0] != "" {
		return nil, errHash
	}
	if f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, fmt.Errorf("argon2 version %q is not known: %w", f[2], errHash)
	}
	h := new(hash)
	if n, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil || n != 3 ||
		f[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.passes, h.threads) {
		return nil, fmt.Errorf("parameters %q: %w", f[3], errHash)
	}
	if h.threads < 1 || h.threads > maxThreads || h.passes < 1 || h.passes > maxPasses ||
		h.memory < 8*uint32(h.threads) || h.memory > maxMemory {
		return nil, fmt.Errorf("parameters %q: allowed are t 1 to %d, p 1 to %d, m 8·p to %d",
			f[3], maxPasses, maxThreads, maxMemory)
	}
	var err error
	if h.salt, err = decodeField("salt", f[4], minSalt); err != nil {
		return nil, err
	}
	h.sum, err = decodeField("hash", f[5], minSum)
	return h, err
}

func decodeField(name, s string, least int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%s is not base64 without padding: %w", name, err)
	}
	if len(b) < least || len(b) > maxField {
		return nil, fmt.Errorf("%s has %d bytes, allowed are %d to %d", name, len(b), least, maxField)
	}
	return b, nil
}
