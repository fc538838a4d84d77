package sync

// Digest of Ids, for its test.
type Digest = digest

func (d *digest) Add(id string, sign int32) { k, _ := idKey(id); d.add(k, sign) }
func (d *digest) List() ([]string, bool)    { return d.list() }

// Ahead is how many pages are opened beside the one that is read.
const Ahead = ahead

// LongID of an Id of 15 characters.
var LongID = longID

// SetURILimit makes queries shorter than Salesforce asks for.
func (s *Sync) SetURILimit(n int) { s.uriLimit = n }

// SetBulk makes Bulk jobs of objects that are small for them.
func (s *Sync) SetBulk(from, page int) { s.bulkFrom, s.bulkPage = from, page }
