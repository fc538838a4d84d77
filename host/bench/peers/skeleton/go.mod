module github.com/wellhead-io/wellhead/host/bench/peers/skeleton

go 1.26.0
