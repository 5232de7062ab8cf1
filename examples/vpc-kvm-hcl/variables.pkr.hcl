variable "name" {
  type        = string
  default     = "app"
  description = "What the image is called; the time is added."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}$", var.name))
    error_message = "Lower-case letters, digits and \"-\", a letter first, at most 19 characters."
  }
}

variable "packages" {
  type    = list(string)
  default = ["nginx", "curl"]
}

variable "disk" {
  type = object({
    size = number
    type = optional(string, "CB1")
  })
  default = { size = 10 }
}
