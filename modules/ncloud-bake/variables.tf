variable "name" {
  description = "Name of the server. Everything else is named after it: `<name>-nic`, `-acg`, `-init`, `-key`, `-disk`; a public IP, which has no name, carries it in its description."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 25 characters: lower case letters, digits and '-', beginning with a letter and not ending with '-' (NCloud allows 30; the longest suffix takes 5)."
  }
}

variable "description" {
  description = "Description of everything the module makes. The name is put in front of it where a resource has no name of its own."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = length(var.description) <= 900
    error_message = "description must not be longer than 900 characters."
  }
}

variable "subnet_no" {
  description = "Number of the subnet the server lives in. It must be a public one when `associate_public_ip` is true."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]+$", var.subnet_no))
    error_message = "subnet_no must be a number, as in \"1234\"; names are not accepted."
  }
}

variable "vpc_no" {
  description = "Number of the VPC the subnet belongs to. Needed when the module makes the ACG, that is, when `acg_nos` is empty."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_no == null || can(regex("^[0-9]+$", var.vpc_no))
    error_message = "vpc_no must be a number, as in \"567\"; names are not accepted."
  }
}

variable "hypervisor_type" {
  description = "XEN, RHV or KVM. null: KVM when `server_image_number` is given, XEN otherwise. It decides which kind of block storage is made."
  type        = string
  default     = null

  validation {
    condition     = var.hypervisor_type == null || contains(["XEN", "RHV", "KVM"], coalesce(var.hypervisor_type, "-"))
    error_message = "hypervisor_type must be XEN, RHV or KVM."
  }
}

variable "server_image_number" {
  description = "Number of the image to boot (all hypervisors; the only way on KVM). One of `server_image_number`, `server_image_product_code` and `member_server_image_no` must be given."
  type        = string
  default     = null
}

variable "server_spec_code" {
  description = "Server spec, such as `s2-g3`. Goes with `server_image_number`."
  type        = string
  default     = null
}

variable "server_image_product_code" {
  description = "Product code of the image to boot (XEN, RHV)."
  type        = string
  default     = null
}

variable "member_server_image_no" {
  description = "Number of an own image to boot (XEN, RHV; on KVM, own images have a `server_image_number`)."
  type        = string
  default     = null
}

variable "server_product_code" {
  description = "Server product code. Goes with `server_image_product_code` and `member_server_image_no`."
  type        = string
  default     = null
}

variable "fee_system_type_code" {
  description = "MTRAT (by time) or FXSUM (flat rate). null: the platform's default."
  type        = string
  default     = null

  validation {
    condition     = var.fee_system_type_code == null || contains(["MTRAT", "FXSUM"], coalesce(var.fee_system_type_code, "-"))
    error_message = "fee_system_type_code must be MTRAT or FXSUM."
  }
}

variable "login_key_name" {
  description = "Name of an existing login key. null: the module makes one, and then **its private key is in the Terraform state in clear text**. tfbake always gives one."
  type        = string
  default     = null
}

variable "user_data" {
  description = "Text of an init script, run once as root at first boot. It is kept in the Terraform state in clear text: no secrets here."
  type        = string
  default     = null
}

variable "os_type" {
  description = "linux or windows: which kind of init script `user_data` is."
  type        = string
  default     = "linux"
  nullable    = false

  validation {
    condition     = contains(["linux", "windows"], var.os_type)
    error_message = "os_type must be linux or windows."
  }
}

variable "acg_nos" {
  description = "Numbers of existing ACGs, at most 3. Empty: the module makes an ACG of its own that lets `source_cidrs` reach `port`, and nothing else in."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.acg_nos) <= 3
    error_message = "acg_nos must not hold more than 3 ACGs: a network interface takes no more."
  }
}

variable "port" {
  description = "The one TCP port the module's own ACG opens: 22 for SSH, 5985 or 5986 for WinRM. null: none."
  type        = number
  default     = 22

  validation {
    condition     = var.port == null || (coalesce(var.port, 1) >= 1 && coalesce(var.port, 1) <= 65535)
    error_message = "port must be between 1 and 65535."
  }
}

variable "source_cidrs" {
  description = "IPv4 networks that may reach `port` through the module's own ACG, such as `[\"203.0.113.7/32\"]`."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for c in var.source_cidrs : try(cidrsubnet(c, 0, 0) == c && !strcontains(c, ":"), false)])
    error_message = "source_cidrs must be IPv4 networks without host bits, such as 203.0.113.7/32 or 198.51.100.0/24."
  }
}

variable "allow_world" {
  description = "Let `source_cidrs` hold 0.0.0.0/0. A server with a known root password and open to everyone is found within minutes."
  type        = bool
  default     = false
  nullable    = false
}

variable "associate_public_ip" {
  description = "Make a public IP and associate it with the server."
  type        = bool
  default     = true
  nullable    = false
}

variable "block_storage_size" {
  description = "Size in GB of an additional block storage. null: none."
  type        = number
  default     = null

  validation {
    condition     = var.block_storage_size == null || (coalesce(var.block_storage_size, 10) >= 10 && coalesce(var.block_storage_size, 10) <= 16380 && floor(coalesce(var.block_storage_size, 10)) == coalesce(var.block_storage_size, 10))
    error_message = "block_storage_size must be a whole number of GB, from 10 to 16380."
  }
}

variable "block_storage_volume_type" {
  description = "KVM: CB1, FB1, CB2 or FB2 (default CB1). XEN and RHV: SSD or HDD (default: the platform's)."
  type        = string
  default     = null

  validation {
    condition     = var.block_storage_volume_type == null || contains(["CB1", "FB1", "CB2", "FB2", "SSD", "HDD"], coalesce(var.block_storage_volume_type, "-"))
    error_message = "block_storage_volume_type must be CB1, FB1, CB2 or FB2 (KVM), or SSD or HDD (XEN, RHV)."
  }
}
