"""What several tests share: ordinary users, namespaces, the look for what a build left behind."""
