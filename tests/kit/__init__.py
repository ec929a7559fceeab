"""What tests start, speak and compare with."""
