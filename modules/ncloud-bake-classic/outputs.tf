output "server_id" {
  description = "Server instance number."
  value       = ncloud_server.this.id
}

output "server_name" {
  description = "Name of the server."
  value       = ncloud_server.this.name
}

output "zone" {
  description = "Zone code of the server."
  value       = ncloud_server.this.zone
}

output "private_ip" {
  description = "Private address of the server."
  value       = ncloud_server.this.private_ip
}

output "public_ip" {
  description = "Public address of the server; null without one."
  value       = one(ncloud_public_ip.this[*].public_ip)
}

output "public_ip_no" {
  description = "Instance number of the public IP; null without one."
  value       = one(ncloud_public_ip.this[*].id)
}

output "block_storage_no" {
  description = "Instance number of the additional block storage; null without one."
  value       = one(ncloud_block_storage.this[*].id)
}

output "login_key_name" {
  description = "Name of the login key the server was made with."
  value       = ncloud_server.this.login_key_name
}

output "private_key" {
  description = "Private key of the login key the module made; null when login_key_name was given."
  value       = one(ncloud_login_key.this[*].private_key)
  sensitive   = true
}
