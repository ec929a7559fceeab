"""An organisation's policy: one readable file that is resolved into the rules of each computer's document."""
