"""What a simulated platform's users do: visits, looks at products, orders, words, and how events are delivered."""
