package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/internal/metrics"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// Passwords checks user name and password against a password file. It permits the same topics as Open.
// Safe for concurrent use.
type Passwords struct {
	Open
	cfg    Config
	users  atomic.Pointer[users]
	turns  chan struct{} // a place in it is the right to compute a hash
	secret [32]byte      // of this run, for proofs

	mu      sync.Mutex // of looking at the file
	checked time.Time
	failed  stamp // of the reading that was not taken over

	accepted, denied, busy *metrics.Counter
}

// proof is a password that has matched, under a key of this run: devices that come back are let in without
// computing argon2 again.
type proof [sha256.Size]byte

var _ mqtt.Authority = (*Passwords)(nil)

// What CONNACK answers. It does not tell whether the user exists.
var (
	errDenied    = &packet.Error{Reason: packet.BadUserNameOrPassword, Detail: "user name and password do not match"}
	errAnonymous = &packet.Error{Reason: packet.NotAuthorized, Detail: "a user name is needed"}
	errBusy      = &packet.Error{Reason: packet.ServerBusy, Detail: "too many passwords are being checked"}
)

func newPasswords(cfg Config) (*Passwords, error) {
	p := &Passwords{
		cfg: cfg, turns: make(chan struct{}, cfg.MaxHashing), checked: cfg.Now(),
		accepted: cfg.Metrics.Counter("mangrove_auth_accepted_total"),
		denied:   cfg.Metrics.Counter("mangrove_auth_denied_total"),
		busy:     cfg.Metrics.Counter("mangrove_auth_busy_total"),
	}
	rand.Read(p.secret[:]) // never fails
	u, mode, err := readUsers(cfg.PasswordFile)
	if err != nil {
		return nil, err
	}
	p.take(u, mode)
	return p, nil
}

// take puts a reading of the file in force.
func (p *Passwords) take(u *users, mode os.FileMode) {
	p.users.Store(u)
	p.cfg.Log.Info("password file read", "file", p.cfg.PasswordFile, "users", len(u.byName))
	if mode&0o004 != 0 {
		p.cfg.Log.Warn("password file can be read by everybody on this machine",
			"file", p.cfg.PasswordFile, "mode", mode.String())
	}
}

// Authenticate implements mqtt.Authority. It may wait Config.MaxWait for its turn.
func (p *Passwords) Authenticate(c *mqtt.Client) error {
	p.refresh()
	err := p.judge(c)
	switch err {
	case nil:
		p.accepted.Inc()
		return nil
	case errBusy:
		p.busy.Inc()
	default:
		p.denied.Inc()
	}
	return err
}

// judge decides about a client by its user name and password. Its result is an error, never a nil *packet.Error.
func (p *Passwords) judge(c *mqtt.Client) error {
	if !c.HasUser {
		if p.cfg.AllowAnonymous {
			return nil
		}
		return errAnonymous
	}
	list := p.users.Load()
	u := list.byName[c.Username]
	if u != nil && u.hash == nil { // only for SCRAM
		u = nil
	}
	mine := p.prove(c.Password)
	if u != nil {
		if known := u.known.Load(); known != nil && hmac.Equal(known[:], mine[:]) {
			return nil
		}
	}
	return p.compute(list, u, c.Password, mine)
}

// compute checks the password by argon2; u is nil for a user that does not exist, which costs the same.
func (p *Passwords) compute(list *users, u *user, password []byte, mine proof) error {
	timer := time.NewTimer(p.cfg.MaxWait)
	defer timer.Stop()
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-timer.C:
		return errBusy
	}
	h := list.nobody
	if u != nil {
		h = u.hash
	}
	if !h.matches(password) || u == nil {
		return errDenied
	}
	u.known.Store(&mine)
	return nil
}

func (p *Passwords) prove(password []byte) (mine proof) {
	mac := hmac.New(sha256.New, p.secret[:])
	mac.Write(password)
	mac.Sum(mine[:0])
	return mine
}

// lookEvery is how often the file is looked at, at most.
const lookEvery = time.Second

// refresh reads the file again when it has changed. A reading with a mistake is logged once, and the one before
// stays in force.
func (p *Passwords) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	if now.Sub(p.checked) < lookEvery {
		return
	}
	p.checked = now
	var is stamp // of a missing file: zero
	if info, err := os.Stat(p.cfg.PasswordFile); err == nil {
		is = stampOf(info)
	}
	if is == p.users.Load().stamp || is == p.failed {
		return
	}
	u, mode, err := readUsers(p.cfg.PasswordFile)
	if err != nil {
		p.failed = is
		p.cfg.Log.Error("changed password file is not used, the one before stays in force", "error", err)
		return
	}
	p.failed = stamp{}
	p.take(u, mode)
}
