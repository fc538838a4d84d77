package journal_test

const appenderEnv = "WELLHEAD_TEST_APPENDER"

func appender() int { return 0 }
