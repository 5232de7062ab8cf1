variable "name" {
  description = "Name of the server. Everything else is named after it: `<name>-key`, `-disk`; a public IP, which has no name, carries it in its description."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 25 characters: lower case letters, digits and '-', beginning with a letter and not ending with '-' (NCloud allows 30; the longest suffix takes 5)."
  }
}

variable "description" {
  description = "Description of everything the module makes. The name is put in front of it."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = length(var.description) <= 900
    error_message = "description must not be longer than 900 characters."
  }
}

variable "zone" {
  description = "Zone code, such as `KR-1`. null: the platform's choice."
  type        = string
  default     = null
}

variable "server_image_product_code" {
  description = "Product code of the image to boot. Exactly one of this and `member_server_image_no` must be given."
  type        = string
  default     = null
}

variable "member_server_image_no" {
  description = "Number of an own image to boot."
  type        = string
  default     = null
}

variable "server_product_code" {
  description = "Server product code. null: the smallest product that fits the image."
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
  description = "Text of a script, run once as root at first boot. It is kept in the Terraform state in clear text: no secrets here."
  type        = string
  default     = null
}

variable "access_control_group_configuration_no_list" {
  description = "Configuration numbers of existing ACGs, at most 5. Empty: the account's default ACG. (An ACG cannot be made through the Classic API.)"
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.access_control_group_configuration_no_list) <= 5
    error_message = "access_control_group_configuration_no_list must not hold more than 5 ACGs."
  }
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
    condition     = var.block_storage_size == null || (coalesce(var.block_storage_size, 10) >= 10 && coalesce(var.block_storage_size, 10) <= 2000 && floor(coalesce(var.block_storage_size, 10)) == coalesce(var.block_storage_size, 10))
    error_message = "block_storage_size must be a whole number of GB, from 10 to 2000."
  }
}

variable "block_storage_volume_type" {
  description = "SSD or HDD. null: the platform's default."
  type        = string
  default     = null

  validation {
    condition     = var.block_storage_volume_type == null || contains(["SSD", "HDD"], coalesce(var.block_storage_volume_type, "-"))
    error_message = "block_storage_volume_type must be SSD or HDD."
  }
}
