// Package eventbus is the generated code of Salesforce's Pub/Sub API, for the
// source that subscribes and the simulator that answers.
package eventbus

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative eventbus.proto
