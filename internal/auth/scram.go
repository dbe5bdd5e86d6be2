package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// ScramMethod is the authentication method of MQTT 5.0 that Passwords offers to the users who have a line for
// it (RFC 5802, RFC 7677). The password never leaves the client, and both sides prove that they know it.
const ScramMethod = "SCRAM-SHA-256"

// maxScram bounds a message of the mechanism; longer ones are refused.
const maxScram = 2048

var _ mqtt.Exchanger = (*Passwords)(nil)

// Begin implements mqtt.Exchanger.
func (p *Passwords) Begin(c *mqtt.Client, method string) (mqtt.Exchange, error) {
	p.refresh()
	list := p.users.Load()
	if method != ScramMethod || list.scram == nil { // [MQTT-4.12.0-1]
		return nil, &packet.Error{
			Reason: packet.BadAuthenticationMethod, Rule: "MQTT-4.12.0-1", Detail: "this method is not offered",
		}
	}
	return &scramRun{p: p, list: list, client: c, nonce: rand.Text()}, nil
}

// scramRun is the server's side of one exchange.
//
//	client                                              server
//	n,,n=user,r=cnonce                  ──────────────→
//	                                    ←────────────── r=cnonce+nonce,s=salt,i=iterations
//	c=biws,r=cnonce+nonce,p=proof       ──────────────→
//	                                    ←────────────── v=signature
type scramRun struct {
	p      *Passwords
	list   *users
	client *mqtt.Client
	nonce  string // ours; then the whole

	asked bool   // the client sent nothing at first and was told to begin
	gs2   string // the header of client-first
	spoke string // client-first without header, and server-first
	name  string
	key   *scram // nil = no such user: refused at the end, not before
	over  bool
}

// Step implements mqtt.Exchange.
func (r *scramRun) Step(data []byte) (answer []byte, done bool, err error) {
	switch {
	case r.over:
		panic("BUG: a step after the end of the exchange")
	case len(data) == 0 && !r.asked && r.spoke == "":
		r.asked = true
		return nil, false, nil
	case r.spoke == "":
		answer, err = r.first(data)
	default:
		r.over = true
		answer, err = r.final(string(data))
		done = err == nil
	}
	switch {
	case err != nil:
		r.p.denied.Inc()
	case done:
		r.client.Username, r.client.HasUser = r.name, true
		r.p.accepted.Inc()
	}
	return answer, done, err
}

// errScram is a message that is none of the mechanism's.
func errScram(format string, args ...any) error {
	return &packet.Error{Reason: packet.NotAuthorized, Detail: ScramMethod + ": " + fmt.Sprintf(format, args...)}
}

// first takes client-first and answers server-first.
func (r *scramRun) first(data []byte) ([]byte, error) {
	if len(data) > maxScram {
		return nil, errScram("message of %d bytes, allowed are %d", len(data), maxScram)
	}
	binding, rest, ok1 := strings.Cut(string(data), ",")
	identity, bare, ok2 := strings.Cut(rest, ",")
	if !ok1 || !ok2 || binding != "n" && binding != "y" {
		return nil, errScram("the first message does not begin with n,, or y,, (there is no channel binding)")
	}
	name, nonce, err := readFirst(bare)
	if err != nil {
		return nil, err
	}
	if as, given := strings.CutPrefix(identity, "a="); identity != "" && (!given || unescape(as) != name) {
		return nil, errScram("a user can be nobody but itself")
	}
	r.gs2, r.name, r.nonce = binding+","+identity+",", name, nonce+r.nonce
	key := r.lookUp()
	server := fmt.Sprintf("r=%s,s=%s,i=%d", r.nonce, base64.StdEncoding.EncodeToString(key.salt), key.iterations)
	r.spoke = bare + "," + server
	return []byte(server), nil
}

// readFirst reads client-first without its header: "n=user,r=nonce", extensions may follow.
func readFirst(bare string) (name, nonce string, err error) {
	fields := strings.Split(bare, ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") {
		return "", "", errScram("the first message has no n=…,r=…")
	}
	name, nonce = unescape(fields[0][2:]), fields[1][2:]
	if name == "" || nonce == "" {
		return "", "", errScram("user name or nonce is empty, or the name is not escaped")
	}
	return name, nonce, nil
}

// unescape reads a saslname; "" when it is none.
func unescape(s string) string {
	plain := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s)
	if strings.Count(s, "=") != strings.Count(s, "=2C")+strings.Count(s, "=3D") {
		return ""
	}
	return plain
}

// lookUp finds the user's keys. Somebody who does not exist gets a salt of this run and the iterations of others.
func (r *scramRun) lookUp() *scram {
	if u := r.list.byName[r.name]; u != nil && u.scram != nil {
		r.key = u.scram
		return u.scram
	}
	salt := r.p.prove([]byte("salt of " + r.name))
	return &scram{iterations: r.list.scram.iterations, salt: salt[:min(len(salt), len(r.list.scram.salt))]}
}

// final takes client-final and answers server-final.
func (r *scramRun) final(message string) ([]byte, error) {
	i := strings.LastIndex(message, ",p=")
	if len(message) > maxScram || i < 0 {
		return nil, errScram("the second message has no proof")
	}
	said := message[:i]
	proof, err := base64.StdEncoding.Strict().DecodeString(message[i+3:])
	if err != nil || len(proof) != sha256.Size {
		return nil, errScram("the proof is not %d bytes in base64", sha256.Size)
	}
	want := "c=" + base64.StdEncoding.EncodeToString([]byte(r.gs2)) + ",r=" + r.nonce
	if said != want && !strings.HasPrefix(said, want+",") {
		return nil, errScram("the second message does not go with the first")
	}
	all := r.spoke + "," + said
	if r.key == nil || !r.key.proves(proof, all) {
		return nil, errDenied
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(r.key.serverKey, all))), nil
}

// proves checks a client's proof: ClientKey XOR HMAC(StoredKey, all), where StoredKey = H(ClientKey).
func (s *scram) proves(proof []byte, all string) bool {
	clientKey := make([]byte, sha256.Size)
	subtle.XORBytes(clientKey, proof, mac(s.storedKey, all))
	stored := sha256.Sum256(clientKey)
	return subtle.ConstantTimeCompare(stored[:], s.storedKey) == 1
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
