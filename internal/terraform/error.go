package terraform

func (e *Error) Error() string { return e.Op }
func (e *Error) Unwrap() error { return e.Err }
