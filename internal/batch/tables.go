package batch

import "fmt"

// Table names a set of keys. Tables are known at compile time; each belongs to one package. A table more raises
// store.Format, so that an older version refuses the folder as a newer one's instead of stopping at the first log
// record that names the table.
type Table byte

const (
	Sessions      Table = 1 // session: session records, by client id
	Subscriptions Table = 2 // session: by (session number, filter)
	Queues        Table = 3 // session: by (session number, sequence)
	Received      Table = 4 // session: QoS 2 packet ids taken in, by (session number, packet id)
	Retained      Table = 5 // retain: by topic
	Neighbours    Table = 6 // bridge: neighbour records, by name
	LinkQueues    Table = 7 // bridge: by (neighbour number, lane, sequence)
	Seen          Table = 8 // bridge: repeat filter chunks, by (origin store, chunk)
	Interest      Table = 9 // bridge: by (neighbour number, filter)
)

// LastTable is the highest table there is; the first is 1.
const LastTable = Interest

// MustExist panics when there is no such table.
func (t Table) MustExist() {
	if t == 0 || t > LastTable {
		panic(fmt.Sprintf("BUG: no table %d", t))
	}
}
