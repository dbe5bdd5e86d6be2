package store

import "fmt"

// Table names a set of keys. Tables are known at compile time; each belongs to one package.
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

// lastTable is the highest table there is.
const lastTable = Interest

// Names of the buckets in state.db. Each table's bucket is its number as one byte.
var (
	metaBucket   = []byte("meta")   // what the store knows of itself, see format.go
	bodiesBucket = []byte("bodies") // body id (8 bytes, big-endian) → bytes of the body
	countsBucket = []byte("counts") // body id → number of references (uvarint), when it is not 1
)

func (t Table) bucket() []byte { return []byte{byte(t)} }

func (t Table) mustExist() {
	if t == 0 || t > lastTable {
		panic(fmt.Sprintf("BUG: no table %d", t))
	}
}
