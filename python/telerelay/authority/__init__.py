"""What an organisation signs: certificates, computer documents, stamps, revocations."""
