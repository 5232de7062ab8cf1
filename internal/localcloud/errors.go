package localcloud

import (
	"fmt"
	"net/http"
)

// apiError is a refusal, in one of the API's two shapes: a business error has a returnCode, a gateway error (Gateway
// set) comes before the service and has an errorCode.
type apiError struct {
	HTTP    int
	Code    string
	Message string
	Gateway bool
	Details string
}

func (e *apiError) Error() string { return e.Code + " " + e.Message }

// body is the error as an answer. Both values are strings; clients parse them as such.
func (e *apiError) body() *node {
	if e.Gateway {
		return &node{name: "error", kind: object, sub: []*node{textNode("errorCode", e.Code), textNode("message", e.Message), textNode("details", e.Details)}}
	}
	return &node{name: "responseError", kind: object, sub: []*node{textNode("returnCode", e.Code), textNode("returnMessage", e.Message)}}
}

func business(code, format string, a ...any) *apiError {
	return &apiError{HTTP: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, a...)}
}

func gateway(status int, code, message, details string) *apiError {
	return &apiError{HTTP: status, Code: code, Message: message, Details: details, Gateway: true}
}

func unauthorised(details string) *apiError {
	return gateway(http.StatusUnauthorized, "200", "Authentication Failed", details)
}

// Business errors. Codes marked (seen) were reported from the real API; the others are the nearest known code where the
// real one is not public. Messages end in blanks now and then on the real API; clients must not compare them.

// errMissing: a required parameter is absent (seen on Classic).
func errMissing(name string) *apiError {
	return business("900", "Required field is not specified. location : %s.", name)
}

// errInvalid: a value breaks a rule, or names an object that is not there (code seen on VPC).
func errInvalid(format string, a ...any) *apiError {
	return business("1100000", "Parameter is invalid. "+format, a...)
}

// errNoSuch: an id is unknown in the region of the call.
func errNoSuch(param, id string) *apiError { return errInvalid("%s [%s] was not found", param, id) }

func errNameTaken() *apiError { // (seen)
	return business("10300", "Instance name is already in use. please use other name.")
}

func errKeyTaken() *apiError { return business("10405", "The key name already exists.") } // (seen)

func errNoKey() *apiError { return business("10406", "The authentication key does not exist.") } // (seen)

func errWrongKey() *apiError { // (seen)
	return business("24001", "Invalid authentication key. Please check authentication key or input type and try again.")
}

func errServerNo() *apiError { // (seen)
	return business("24120", "The input parameter server instance number is invalid.")
}

// errServerState: start, stop, reboot or another change in a state that does not allow it (seen).
func errServerState() *apiError {
	return business("25041", "Unable to perform operation command since (other) user is either manipulating the target server or a problem in target server. Please confirm server status once again.")
}

// errServerBusy: an operation on the server has not ended (VPC, seen as 1100031 after a detach; Classic 25017, which
// the official provider retries).
func errServerBusy(platform string) *apiError {
	if platform == classic {
		return business("25017", "Operation is currently unavailable since another operation of the server is in progress.")
	}
	return business("1100031", "The server cannot be controlled since another operation is in progress.")
}

// errImaging: the server is being copied into an image (seen).
func errImaging() *apiError {
	return business("25018", "Operation is currently unavailable since (other) user is either operating server or creating server image of the server.")
}

// errReturn: the server may not be terminated as it is: running or protected (seen).
func errReturn() *apiError {
	return business("25022", "Unable to return the server since (other) user is either operating target server or an error in the target server. Please confirm the status of server/ storage.")
}

func errNotStopped() *apiError { // Classic image of a server that is not stopped (seen)
	return business("25008", "Unable to create server image since server is either not in suspended status or in operation.")
}

func errContract() *apiError { // unknown number on Classic terminate and delete (seen)
	return business("10713", "Not found contract information. Please check your input parameter.")
}

func errProduct() *apiError { // (seen)
	return business("10712", "Not found product. Please check your input product.  ")
}

func errServerProduct() *apiError { // KVM code given to the product-code way, and the like (seen)
	return business("1401", "Not found server product. Please check the product code, region, and zone.")
}

func errNoMatch(server, image string) *apiError { // (seen on Classic)
	return business("1413", "Cannot find matched product code [%s] matching server image [%s]", server, image)
}

func errTooMany(limit, created int) *apiError { // (seen)
	return business("10102", "Unable to create server anymore since creation limitation setting has been exceeded. Creation limitation: %d Created : %d", limit, created)
}

func errQuota() *apiError { return business("1015009", "You can no longer create a product.") } // (seen)

func errACGGone() *apiError { // (seen)
	return business("1007000", "You cannot access the appropriate ACG.")
}

func errACGBusy() *apiError { // (seen)
	return business("1007009", "The ACG cannot be changed since another change of it is in progress.")
}

func errNACLGone() *apiError { // (seen)
	return business("1011002", "You cannot access the appropriate Network ACL")
}

func errNICInUse() *apiError { // (code seen; the official provider retries it)
	return business("1002035", "At least one ACG must remain on the network interface, and an interface that is in use cannot be deleted.")
}

func errIPBusy() *apiError { // (code seen)
	return business("1003016", "The public IP cannot be changed since another change of it is in progress.")
}

func errIPInit() *apiError { // (code seen)
	return business("1080101", "The public IP is still being initialized.")
}

func errIPAttached(no string) *apiError { // (seen)
	return business("24073", "Unable to destroy the server since a public IP is associated with the server. First, please disassociate a public IP from the server. publicIpInstanceNo = %s", no)
}

func errIPFree() *apiError { // (seen)
	return business("28102", "The public IP is already disassociated from the server.")
}

func errDiskNo(delete bool) *apiError { // (seen)
	if delete {
		return business("24121", "The input parameter storage instance number is invalid.")
	}
	return business("24109", "The input parameter instance number is invalid.")
}

func errNotYourACG(no string) *apiError { // (seen)
	return business("24076", "It is ACG(access control group) you do not own. Serial number - %s", no)
}

func errTryAgain() *apiError { // (seen)
	e := business("1300", "Please try your call again later. Temporarily out of service. If error continue, Please contact our customer service center.")
	e.HTTP = http.StatusInternalServerError
	return e
}
