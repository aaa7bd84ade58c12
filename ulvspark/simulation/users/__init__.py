"""Who a simulated platform's users are, when they come and leave, and which offers they get."""
