package quarantine

// Spare sets how much larger the rings are than the limit, so that a test need
// not write 32 MiB to fill one.
func (o *Options) Spare(n int64) { o.spare = n }
