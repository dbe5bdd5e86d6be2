package firmwaresim

import (
	"sync"
	"time"
)

// Ledger is the double entry of a run: what was published and acknowledged on one side, what was received
// on the other. Memory is a few ranges for each device and lane. Safe for concurrent use.
type Ledger struct {
	accounts []*account
	byID     map[string]int

	mu      sync.Mutex
	latency map[string]*latencies // by row: model name, or commands
	stray   uint64
}

// account is one device's part of the ledger.
type account struct {
	row string

	mu    sync.Mutex
	lanes [kinds][3]*lane
}

// commandsRow is the row of the messages that go to devices; theirs are in the row of their model.
const commandsRow = "commands"

func newLedger() *Ledger {
	return &Ledger{byID: map[string]int{}, latency: map[string]*latencies{commandsRow: {}}}
}

// register opens the account of a device; all are opened before the run starts.
func (l *Ledger) register(id, model string) int {
	l.byID[id] = len(l.accounts)
	l.accounts = append(l.accounts, &account{row: model})
	if l.latency[model] == nil {
		l.latency[model] = &latencies{}
	}
	return l.byID[id]
}

// laneLocked returns the lane of that kind and QoS, made on first use.
func (a *account) laneLocked(k Kind, qos byte) *lane {
	if a.lanes[k][qos] == nil {
		a.lanes[k][qos] = &lane{}
	}
	return a.lanes[k][qos]
}

// published enters that seq was handed to a client for sending.
func (l *Ledger) published(device int, k Kind, qos byte, seq uint64) {
	a := l.accounts[device]
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.laneLocked(k, qos)
	n.published = max(n.published, seq)
}

// withdraw takes back the last entry of published: the client did not take it.
func (l *Ledger) withdraw(device int, k Kind, qos byte, seq uint64) {
	a := l.accounts[device]
	a.mu.Lock()
	defer a.mu.Unlock()
	a.laneLocked(k, qos).published = seq - 1
}

// acknowledged enters the end of seq's acknowledgement: PUBACK or PUBCOMP, ok or with an error code.
func (l *Ledger) acknowledged(device int, k Kind, qos byte, seq uint64, ok bool) {
	a := l.accounts[device]
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.laneLocked(k, qos)
	if ok {
		n.acked.add(seq)
	} else {
		n.refused++
	}
}

// received enters an arrival. What no device of this run published is counted as stray.
func (l *Ledger) received(k Kind, h *Header, now time.Time) {
	device, known := l.byID[h.Device]
	if !known || h.QoS > 2 || h.Seq == 0 || !l.enter(device, k, h) {
		l.mu.Lock()
		l.stray++
		l.mu.Unlock()
		return
	}
	row := commandsRow
	if k != Command {
		row = l.accounts[device].row
	}
	l.latency[row].add(now.Sub(h.Time))
}

// enter is false when seq was never published.
func (l *Ledger) enter(device int, k Kind, h *Header) bool {
	a := l.accounts[device]
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.laneLocked(k, h.QoS)
	if h.Seq > n.published {
		return false
	}
	n.receive(h.Seq)
	return true
}

// tallies sums the lanes up, by row.
func (l *Ledger) tallies() map[string]Tally {
	sums := map[string]Tally{commandsRow: {}}
	for _, a := range l.accounts {
		a.tally(sums)
	}
	for row, t := range sums {
		t.Latency = l.latency[row].summary()
		sums[row] = t
	}
	return sums
}

func (a *account) tally(sums map[string]Tally) {
	a.mu.Lock()
	defer a.mu.Unlock()
	own, commands := sums[a.row], sums[commandsRow]
	own.Devices++
	for k := range kinds {
		t := &own
		if k == Command {
			t = &commands
		}
		for qos, n := range a.lanes[k] {
			if n != nil {
				n.tally(byte(qos), t)
			}
		}
	}
	sums[a.row], sums[commandsRow] = own, commands
}

// overall is the latency of everything.
func (l *Ledger) overall() Latency {
	var all latencies
	for _, row := range l.latency {
		all.merge(row)
	}
	return all.summary()
}

func (l *Ledger) strays() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stray
}
