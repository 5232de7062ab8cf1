// Package localcloud simulates the server API of NAVER Cloud over HTTP, so that a bake can be rehearsed and tested
// without an account.
//
// It speaks the three services that image bakes use, `/server/v2` (Classic), `/vserver/v2` and `/vpc/v2` (VPC), as the
// official Go SDK, the official Terraform provider and Packer's ncloud plugin speak them: GET and POST, XML (the default)
// and JSON, signed requests, states that take time, and the refusals of the real API. A simulated server really answers
// SSH or WinRM on a loopback address of its own (package guest); an image keeps the server's files.
//
// How a request goes through the package:
//
//	server.go     routing, signature, faults and the call log around every call
//	action.go     the table of actions: parameters (params.go) -> handler -> reply
//	actions_*.go  the handlers, one file per family of objects
//	encode.go     the reply as JSON or XML; errors.go the refusals
//	store.go      the account's objects, kept in memory under one lock and in state.json
//	clock.go      transitions that are due: servers boot, images finish, disks attach
//	net.go        loopback addresses, listeners, who may connect
//	fault.go      faults on order; control.go the control plane for tests in other processes
//	catalog.json  images, products, specs, regions
//
// It simulates; it never decides. Nothing outside of tests and the command that starts it may import this package.
package localcloud
