package supervise_test

const envFakeHost = "FAKE_HOST"

func runFakeHost(string) {}
