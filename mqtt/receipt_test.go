package mqtt

import (
	"errors"
	"testing"

	"mangrove/internal/store"
)

// outcome counts the calls of done.
type outcome struct {
	calls int
	err   error
}

func (o *outcome) done(err error) { o.calls++; o.err = err }

func TestReceiptWithoutTakersIsDoneAtClose(t *testing.T) {
	var o outcome
	r := NewReceipt(new(store.Batch), o.done)
	if o.calls != 0 {
		t.Fatalf("got done before Close")
	}
	r.Close()
	if o.calls != 1 || o.err != nil {
		t.Errorf("got %d calls, error %v; want 1, nil", o.calls, o.err)
	}
}

func TestReceiptWaitsForTheBatchAndEveryHold(t *testing.T) {
	var o outcome
	r := NewReceipt(new(store.Batch), o.done)
	r.Batch()
	r.Batch() // a second taker in the same batch is told once
	r.Hold()
	r.Close()
	r.Release(nil)
	if o.calls != 0 {
		t.Fatalf("got done before the batch was stable")
	}
	r.Committed(0, nil)
	if o.calls != 1 || o.err != nil {
		t.Errorf("got %d calls, error %v; want 1, nil", o.calls, o.err)
	}
}

func TestReceiptReportsTheFirstError(t *testing.T) {
	full, broken := errors.New("full"), errors.New("broken")
	var o outcome
	r := NewReceipt(new(store.Batch), o.done)
	r.Batch()
	r.Refuse(full)
	r.Close()
	r.Committed(0, broken)
	if o.calls != 1 || o.err != full {
		t.Errorf("got %d calls, error %v; want 1, %v", o.calls, o.err, full)
	}
}

func TestReceiptKnowsTheLeastSlackOfWhatWasWritten(t *testing.T) {
	r := NewReceipt(new(store.Batch), nil)
	if !r.Unwritten() || r.Slack() != store.Unsynced {
		t.Errorf("got %t, %d; want nothing written, and no need to sync", r.Unwritten(), r.Slack())
	}
	r.SetSlack(5)
	if r.Unwritten() {
		t.Error("a publish that need not be synced may be kept elsewhere")
	}
	r.Batch()
	r.SetSlack(7) // the next publish of a receipt that is shared
	r.Batch()
	r.SetSlack(store.Synced) // and one that nobody writes for
	if r.Unwritten() || r.Slack() != 5 {
		t.Errorf("got %t, %d; want it written, and 5", r.Unwritten(), r.Slack())
	}
}

func TestReceiptCountsTakers(t *testing.T) {
	r := NewReceipt(new(store.Batch), nil)
	r.Count()
	r.Count()
	r.Close()
	if got := r.Taken(); got != 2 {
		t.Errorf("got %d takers, want 2", got)
	}
}
